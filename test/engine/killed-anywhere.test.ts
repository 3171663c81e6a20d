import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { endProcess } from '../../src/engine/orphans.js';
import type { CellMember, ConvergeResult } from '../../src/engine/port.js';
import { stackOf, startEngineBench, until, type EngineBench } from '../support/engine.js';

const minutes = 60_000;
const never = new AbortController().signal;

/** A small generator of numbers in [0, 1): the same seed, the same moments. */
const numbersFrom = (seed: number): (() => number) => {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
};

describe('an engine killed at any moment', () => {
  let bench: EngineBench;
  const seed = Number(process.env['VMPOOL_SEED'] ?? 20_261_123);
  const random = numbersFrom(seed);
  /** An update of one create, or of one delete, takes some 13 s. */
  const longestMs = 12_000;
  beforeAll(async () => {
    bench = await startEngineBench({ engine: { orphanGraceMs: 0 } });
  }, minutes);
  afterAll(() => bench.close(), minutes);

  const listed = async (): Promise<readonly string[]> => {
    const { servers } = await bench.cloud.listOurs(never);
    return servers.map(({ name }) => name).sort();
  };

  it(
    `makes no server twice, comes to its wish and leaves nothing behind (VMPOOL_SEED=${String(seed)})`,
    async () => {
      const cell = 'c001';
      // Two are there before, so that the second half has something to delete whatever the first half loses.
      const everBegun = ['p-1-aa', 'p-2-aa'];
      let members: readonly CellMember[] = everBegun.map((name) => bench.member(name));
      let retire: readonly string[] = [];
      const converge = (): Promise<ConvergeResult> =>
        bench.engine.converge(bench.wish(cell, members, retire), () => undefined, never);
      const killedSoon = async (): Promise<void> => {
        const update = converge();
        await until('the engine has begun', () => bench.processes('node').length > 0);
        const afterMs = Math.round(random() * longestMs);
        const end = new AbortController();
        const moment = sleep(afterMs, undefined, { signal: end.signal }).catch(() => undefined);
        await Promise.race([moment, update]);
        end.abort();
        // The engine, Pulumi, or both: each leaves something else behind.
        const victims = [['node'], ['pulumi'], ['node', 'pulumi']][Math.floor(random() * 3)] ?? [];
        for (const pid of victims.flatMap((program) => [...bench.processes(program)])) {
          endProcess(pid, 'SIGKILL');
        }
        await update;
      };

      expect(await converge()).toMatchObject({ ok: true, state: { lostCreates: [] } });
      for (let round = 3; round <= 5; round += 1) {
        const name = `p-${String(round)}-aa`;
        everBegun.push(name);
        members = [...members, bench.member(name)];
        await killedSoon();
        const names = await listed();
        expect(names).toEqual([...new Set(names)]);
      }
      const made = await converge();
      expect(made).toMatchObject({ ok: true, state: { unlisted: [] } });
      const known = (made.state?.instances ?? []).map(({ member }) => String(member));
      const lost = (made.state?.lostCreates ?? []).map(String);
      expect([...known, ...lost].sort()).toEqual(everBegun);
      const present = await listed();
      expect(present).toEqual([...new Set(present)]);
      expect(present).toEqual(expect.arrayContaining(known));
      expect([...known, ...lost]).toEqual(expect.arrayContaining([...present]));

      // One after another, so that each kill finds a delete under way.
      for (let round = 1; round <= 3; round += 1) {
        const [next] = members;
        members = members.slice(1);
        retire = next === undefined ? retire : [...retire, next.name];
        await killedSoon();
        expect(await listed()).toEqual(expect.arrayContaining(known.filter((name) => !retire.includes(name))));
      }
      [members, retire] = [[], everBegun];
      expect(await converge()).toMatchObject({ ok: true, state: { instances: [], unlisted: [] } });
      // What was lost ends through Nova, as the service ends it.
      for (const [name, id] of await bench.servers()) {
        expect(lost).toContain(name);
        await bench.cloud.deleteServer(id, never);
      }
      retire = [];
      expect(await converge()).toEqual({ ok: true, state: { instances: [], lostCreates: [], unlisted: [] } });
      const preview = await bench.plain(stackOf(bench, cell), ['preview', '--expect-no-changes']);
      expect(preview.code).toBe(0);
    },
    8 * minutes,
  );
});
