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
});
