import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { parsePoolOutputs } from '../../src/engine/pool-outputs.js';
import type { PublishedMember } from '../../src/engine/port.js';
import type { CellName, MemberName, ServerId } from '../../src/pool/model.js';
import { startEngineBench, writePoolConfig, type EngineBench } from '../support/engine.js';

const minutes = 60_000;
const never = new AbortController().signal;

describe("the pool's own stack", () => {
  let bench: EngineBench;
  beforeAll(async () => {
    bench = await startEngineBench();
  }, minutes);
  afterAll(() => bench.close(), minutes);

  const published: readonly PublishedMember[] = [
    {
      name: 'p-1-aa' as MemberName,
      cell: 'c001' as CellName,
      id: '0f0f0f0f-0000-4000-8000-000000000001' as ServerId,
      generation: 'abc',
      addresses: { net0: ['127.77.0.10'] },
      state: 'Free',
    },
    {
      name: 'p-2-bb' as MemberName,
      cell: 'c001' as CellName,
      id: null,
      generation: 'abc',
      addresses: {},
      state: 'Unusable: building',
    },
  ];

  it(
    'has no outputs before it was ever brought up',
    async () => {
      const outputs = await bench.engine.poolOutputs(never);
      expect(outputs).toBeNull();
      expect(parsePoolOutputs(outputs)).toMatchObject({ ok: false, why: expect.stringContaining('pulumi up') });
    },
    minutes,
  );

  it(
    'names every error of its config at once',
    async () => {
      expect((await bench.initStack('p')).code).toBe(0);
      const path = writePoolConfig(bench, { min: 9, max: 3, flavor: '', sshNetwork: 'other', typo: 1 });
      const up = await bench.plain('p', ['up', '--yes', '--skip-preview'], path);
      expect(up.code).not.toBe(0);
      for (const key of ['min', 'flavor', 'sshNetwork', 'typo']) {
        expect(up.output).toContain(`vmpool:${key}:`);
      }
      expect(parsePoolOutputs(await bench.engine.poolOutputs(never)).ok).toBe(false);
    },
    minutes,
  );

  it(
    'publishes its shape, which the service reads',
    async () => {
      const path = writePoolConfig(bench, { spare: 2, maxAge: '7d', networks: ['net0', 'site0'], siteNetwork: 'site0' });
      expect((await bench.plain('p', ['up', '--yes', '--skip-preview'], path)).code).toBe(0);
      const parsed = parsePoolOutputs(await bench.engine.poolOutputs(never));
      expect(parsed).toMatchObject({
        ok: true,
        shape: {
          min: 1,
          max: 6,
          spare: 2,
          maxAgeMs: 7 * 86_400_000,
          spec: { networks: ['net0', 'site0'], sshNetwork: 'net0', siteNetwork: 'site0', floatingIpPool: null },
        },
      });
      const preview = await bench.plain('p', ['preview', '--expect-no-changes'], path);
      expect(preview).toMatchObject({ code: 0, output: expect.stringContaining('not published any members yet') });
    },
    minutes,
  );

  it(
    'shows the members that the service published, and no change when they change',
    async () => {
      await bench.engine.publishSummary(published, never);
      await bench.engine.publishSummary(published, never);
      const path = writePoolConfig(bench, { spare: 2, maxAge: '7d', networks: ['net0', 'site0'], siteNetwork: 'site0' });
      const two = await bench.plain('p', ['preview', '--expect-no-changes'], path);
      expect(two.code).toBe(0);
      expect(two.output).toMatch(/p-1-aa\s+Free\s+c001\s+abc\s+0f0f0f0f\S+\s+net0=127\.77\.0\.10/);
      expect(two.output).toMatch(/p-2-bb\s+Unusable: building/);

      await bench.engine.publishSummary(published.slice(0, 1), never);
      const one = await bench.plain('p', ['preview', '--expect-no-changes'], path);
      expect(one.code).toBe(0);
      expect(one.output).not.toContain('p-2-bb');
    },
    2 * minutes,
  );

  it(
    'is brought up by the service with a changed config as from a checkout, which then sees no change',
    async () => {
      const { engine } = bench;
      const before = await engine.poolConfig(never);
      // The failed update before it is not what is in force.
      expect(before?.config).toMatchObject({
        'vmpool:spare': 2,
        'vmpool:max': 6,
        'vmpool:networks': ['net0', 'site0'],
        'vmpool:maxAge': '7d',
      });
      const config = { ...before?.config, 'vmpool:max': 9 };
      const since = before?.at ?? null;
      await engine.updatePool({ config, message: 'vmpool scale max=9 (op: test)', since }, never);
      expect(parsePoolOutputs(await engine.poolOutputs(never))).toMatchObject({ ok: true, shape: { max: 9, spare: 2 } });
      const after = await engine.poolConfig(never);
      expect(after).toMatchObject({ message: 'vmpool scale max=9 (op: test)', config: { 'vmpool:max': 9 } });

      // Who made a config from what is no longer in force overwrites nothing.
      await expect(engine.updatePool({ config, message: '', since }, never)).rejects.toThrow('by somebody else');

      const changes = { spare: 2, maxAge: '7d', networks: ['net0', 'site0'], siteNetwork: 'site0' };
      const changed = /max\s*: 9 => 6/;
      const same = await bench.plain('p', ['preview', '--diff'], writePoolConfig(bench, { ...changes, max: 9 }));
      expect(same.code).toBe(0);
      expect(same.output).not.toMatch(changed);
      // A checkout that was not told would take it back, and its preview says so.
      const old = await bench.plain('p', ['preview', '--diff'], writePoolConfig(bench, changes));
      expect(old.output).toMatch(changed);
    },
    3 * minutes,
  );

  it(
    'that was never there is made',
    async () => {
      const fresh = await startEngineBench();
      try {
        expect(await fresh.engine.poolConfig(never)).toBeNull();
        const config = (await bench.engine.poolConfig(never))?.config ?? {};
        await fresh.engine.updatePool({ config, message: 'vmpool apply (op: first)', since: null }, never);
        expect(parsePoolOutputs(await fresh.engine.poolOutputs(never))).toMatchObject({ ok: true, shape: { max: 9 } });
      } finally {
        await fresh.close();
      }
    },
    3 * minutes,
  );
});
