import { randomUUID } from 'node:crypto';
import { serviceStackName } from '../../stacks/services/registry.js';
import { serviceConfigValues } from '../../stacks/services/service-config.js';
import type { Backend } from './backend.js';
import { outputsOf } from './deployment.js';
import { serviceLimitMs } from './limits.js';
import type { ServiceWish } from './port.js';
import type { StackFiles } from './stack-files.js';
import { Turns } from './turns.js';
import { updateErrors, type UpdateOptions, type Updater } from './updater.js';

/** What the engine process does with the stacks of services: none waits for another, nor for a cell. */
export class Services {
  private readonly turns = new Turns();

  constructor(
    private readonly pool: string,
    private readonly backend: Backend,
    private readonly files: StackFiles,
    private readonly updater: Updater,
  ) {}

  list(): readonly string[] {
    const prefix = serviceStackName(this.pool, '');
    return this.files.stacksNamed(prefix).map((stack) => stack.slice(prefix.length));
  }

  /** Throws with why the service's host does not have it. */
  async update(wish: ServiceWish, signal: AbortSignal): Promise<void> {
    const stack = serviceStackName(this.pool, wish.service);
    await this.turns.use(stack, async () => {
      const { exists, outputs } = await this.makeReady(stack, signal);
      const before = outputs?.['attempt'];
      const attempt = !wish.verify && typeof before === 'string' ? before : randomUUID();
      const { service, settings, input } = wish;
      this.files.writeConfig(stack, serviceConfigValues({ service, settings, input, attempt }));
      await this.run(stack, exists, signal, (options) => this.updater.up(options));
    });
  }

  async remove(service: string, signal: AbortSignal): Promise<void> {
    const stack = serviceStackName(this.pool, service);
    await this.turns.use(stack, async () => {
      const { exists } = await this.makeReady(stack, signal);
      if (exists) await this.run(stack, exists, signal, (options) => this.updater.destroy(options));
      this.files.removeConfig(stack);
    });
  }

  /** Locks broken, and what an update that was cut off left pending forgotten: the host itself knows how far it came. */
  private async makeReady(
    stack: string,
    signal: AbortSignal,
  ): Promise<{ readonly exists: boolean; readonly outputs: Readonly<Record<string, unknown>> | null }> {
    signal.throwIfAborted();
    const locks = this.backend.breakLocks(stack);
    if (locks.kind === 'busy') throw new Error(locks.message);
    const found = await this.backend.readOrPutBack(stack, signal);
    if (found.kind === 'broken') throw new Error(found.message);
    if (found.kind === 'none') return { exists: false, outputs: null };
    const { deployment } = found.state;
    if ((deployment.pending_operations ?? []).length > 0) {
      const { pending_operations: _pending, ...rest } = deployment;
      await this.backend.write(stack, { ...found.state, deployment: rest }, signal);
    }
    return { exists: true, outputs: outputsOf(deployment) };
  }

  private async run(
    stack: string,
    exists: boolean,
    signal: AbortSignal,
    work: (options: UpdateOptions) => Promise<void>,
  ): Promise<void> {
    const { errors, onEvent } = updateErrors();
    try {
      await work({
        stack,
        exists,
        parallel: 8,
        exclude: [],
        limitMs: serviceLimitMs,
        signal,
        onEvent,
      });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(`stack ${stack}: ${wordsOf(errors, why)}`, { cause: error });
    } finally {
      this.backend.pruneHistory(stack);
    }
  }
}

/**
 * What an operator needs of Pulumi's words: the lines of our own script, or else what ssh or the shell said; the
 * command line, which comes before them, is left out. Pure.
 */
export const wordsOf = (errors: readonly string[], otherwise: string): string => {
  const lines = errors.flatMap((error) => error.split('\n')).map((line) => line.trim());
  const ours = lines.flatMap((line) => /^vmpool: (.*)$/.exec(line)?.[1]?.trim() ?? []);
  if (ours.length > 0) return ours.join(' ');
  const said = errors.flatMap((error) => {
    const after = error.split(/running "(?:[^"\\]|\\.)*":\n/);
    return after.length > 1 ? [(after.at(-1) ?? '').trim() || 'the command failed without a word'] : [];
  });
  return said.length > 0 ? said.join('; ').slice(-1000) : [...errors, ...(errors.length === 0 ? [otherwise] : [])].join('; ').slice(-1000);
};
