import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { stackOf, startEngineBench, writePoolConfig, type EngineBench } from '../support/engine.js';

const minutes = 60_000;
const never = new AbortController().signal;

interface CellFile {
  config: { 'vmpool:members'?: { name: string; spec: Record<string, unknown> }[] };
}

describe('a Busy server', () => {
  let bench: EngineBench;
  let stack: string;
  beforeAll(async () => {
    bench = await startEngineBench();
    stack = stackOf(bench, 'c001');
    const members = ['p-1-aa', 'p-2-bb'].map((name) => bench.member(name));
    const result = await bench.engine.converge(bench.wish('c001', members), () => undefined, never);
    expect(result.ok).toBe(true);
  }, 2 * minutes);
  afterAll(() => bench.close(), minutes);

  /** A copy of the cell's config file, changed. */
  const changedConfig = (change: (file: CellFile) => void): string => {
    const file = parse(readFileSync(bench.configPath(stack), 'utf8')) as CellFile;
    change(file);
    const path = join(bench.directory, 'Changed.yaml');
    writeFileSync(path, stringify(file));
    return path;
  };

  const expectUntouched = async (): Promise<void> => {
    expect(await bench.actions()).toEqual({ 'p-1-aa': [], 'p-2-bb': [] });
  };

  it(
    "is not touched by another flavor, image and user data in the pool's config",
    async () => {
      const pool = bench.options.pool;
      const init = await bench.initStack(pool);
      expect(init.code).toBe(0);
      const first = await bench.plain(pool, ['up', '--yes', '--skip-preview'], writePoolConfig(bench));
      expect(first.code).toBe(0);
      const changed = writePoolConfig(bench, { flavor: 'large', image: 'debian-vm-2', userData: '#!/bin/sh\n# @ADMIN_KEY@\n' });
      const second = await bench.plain(pool, ['up', '--yes', '--skip-preview'], changed);
      expect(second.code).toBe(0);
      await expectUntouched();
    },
    2 * minutes,
  );

  it(
    "is not touched by another flavor, image and user data in its cell's config",
    async () => {
      const path = changedConfig((file) => {
        for (const { spec } of file.config['vmpool:members'] ?? []) {
          Object.assign(spec, { flavor: 'large', image: 'debian-vm-2', userData: '#!/bin/sh\nfalse\n', securityGroups: [] });
        }
      });
      const preview = await bench.plain(stack, ['preview', '--expect-no-changes'], path);
      expect(preview).toMatchObject({ code: 0 });
      const up = await bench.plain(stack, ['up', '--yes', '--skip-preview'], path);
      expect(up.code).toBe(0);
      await expectUntouched();
    },
    2 * minutes,
  );

  it(
    'is not touched by a plain up with a stale member list, which shows as refused',
    async () => {
      const path = changedConfig((file) => {
        file.config['vmpool:members'] = file.config['vmpool:members']?.slice(0, 1) ?? [];
      });
      const preview = await bench.plain(stack, ['preview'], path);
      expect(preview.output).toContain('p-2-bb');
      const up = await bench.plain(stack, ['up', '--yes', '--skip-preview', '--continue-on-error'], path);
      expect(up.code).not.toBe(0);
      expect(up.output).toContain('protect');
      await expectUntouched();
    },
    2 * minutes,
  );

  it(
    'is not touched by a plain up without a member list, which says that a missing list is not an empty one',
    async () => {
      const path = changedConfig((file) => {
        delete file.config['vmpool:members'];
      });
      const up = await bench.plain(stack, ['up', '--yes', '--skip-preview'], path);
      expect(up.code).not.toBe(0);
      expect(up.output).toContain('A missing list never means zero members');
      await expectUntouched();
    },
    2 * minutes,
  );

  it(
    'is not touched by destroy',
    async () => {
      const destroy = await bench.plain(stack, ['destroy', '--yes', '--skip-preview']);
      expect(destroy.code).not.toBe(0);
      expect(destroy.output).toContain('protect');
      await expectUntouched();
    },
    2 * minutes,
  );

  it(
    'that was deleted behind the back of the pool shows with --refresh',
    async () => {
      const id = (await bench.servers()).get('p-2-bb');
      expect(id).toBeDefined();
      if (id !== undefined) {
        await bench.cloud.deleteServer(id, never);
      }
      const blind = await bench.plain(stack, ['preview', '--expect-no-changes']);
      expect(blind.code).toBe(0);
      const audit = await bench.plain(stack, ['preview', '--refresh', '--expect-no-changes']);
      expect(audit.code).not.toBe(0);
      expect(audit.output).toMatch(/p-2-bb\s+create/);
    },
    2 * minutes,
  );

  it(
    'that is gone can still be retired',
    async () => {
      const result = await bench.engine.converge(
        bench.wish('c001', [bench.member('p-1-aa')], ['p-2-bb']),
        () => undefined,
        never,
      );
      expect(result).toMatchObject({ ok: true, state: { instances: [{ member: 'p-1-aa' }] } });
    },
    2 * minutes,
  );
});
