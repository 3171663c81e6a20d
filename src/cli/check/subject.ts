import type { OpenStackCloud } from '../../cloud/openstack.js';
import { createCloud } from '../../cloud/openstack.js';
import type { Config } from '../../config/load.js';
import { parsePoolOutputs } from '../../engine/pool-outputs.js';
import type { InstallationId, Shape } from '../../pool/model.js';
import { cloudEnvironment } from '../../service/environment.js';
import { plainPulumi, type PlainPulumi } from '../plain-pulumi.js';
import type { World } from '../world.js';
import { readBook, type BookFound } from './book-file.js';

/**
 * What is checked, opened when first needed and once. Each part rejects with what is wrong with it; checks that
 * build on a broken part say so by that.
 */
export interface Subject {
  readonly config: Config;
  readonly env: World['env'];
  readonly cloud: () => Promise<OpenStackCloud>;
  readonly pulumi: () => Promise<PlainPulumi>;
  /** The shape that the pool's stack publishes. */
  readonly shape: () => Promise<Shape>;
  readonly book: () => Promise<BookFound>;
  close(): void;
}

const shapeLimitMs = 60_000;

export const openSubject = (config: Config, env: World['env']): Subject => {
  let opened: OpenStackCloud | null = null;
  const book = once(() => readBook(config.stateDir));
  const pulumi = once(() => plainPulumi(config, env));
  const cloud = once(async () => {
    const found = await book().catch(() => null);
    const installation = found?.kind === 'read' ? found.book.installation : 'none';
    opened = createCloud({
      env: cloudEnvironment(config, env),
      installation: installation as InstallationId,
    });
    return opened;
  });
  const shape = once(async () => {
    const cli = await pulumi();
    const args = ['stack', 'output', '--json', '--stack', config.pool];
    const result = await cli.run(args, AbortSignal.timeout(shapeLimitMs));
    if (result.code !== 0) {
      throw new Error(
        `the pool stack ${config.pool} cannot be read: ${result.stderr.trim()} (make it with: vmpool env, then pulumi stack init and pulumi up)`,
      );
    }
    const parsed = parsePoolOutputs(JSON.parse(result.stdout) as unknown);
    if (!parsed.ok) throw new Error(parsed.why);
    return parsed.shape;
  });
  return { config, env, cloud, pulumi, shape, book, close: () => opened?.close() };
};

const once = <T>(make: () => Promise<T>): (() => Promise<T>) => {
  let made: Promise<T> | null = null;
  return () => (made ??= make());
};
