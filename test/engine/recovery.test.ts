import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { CellWish, ConvergeResult } from '../../src/engine/port.js';
import { collectEvents, stackOf, startEngineBench, until, type EngineBench } from '../support/engine.js';

const minutes = 60_000;
const never = new AbortController().signal;

const membersIn = (result: ConvergeResult): readonly string[] =>
  (result.state?.instances ?? []).map(({ member }) => member).sort();

describe('an engine that was killed', () => {
  let bench: EngineBench;
  let sequence = 0;
  beforeAll(async () => {
    // No patience with orphans, so that they are killed in the middle of what they do.
    bench = await startEngineBench({ engine: { orphanGraceMs: 0 }, cloud: { timing: { buildMs: 1000 } } });
  }, minutes);
  afterAll(() => bench.close(), minutes);
  afterEach(() => bench.clearFaults());

  /** Each test has a cell and names of its own. */
  const next = (): { readonly cell: string; readonly name: string; readonly other: string } => {
    sequence += 1;
    return { cell: `c00${sequence}`, name: `p-${sequence}1-aa`, other: `p-${sequence}2-bb` };
  };

  const converge = (wish: CellWish): Promise<ConvergeResult> =>
    bench.engine.converge(wish, () => undefined, never);

  const locks = (cell: string): readonly string[] => {
    const directory = join(bench.directory, '.pulumi', 'locks', 'organization', 'vmpool', stackOf(bench, cell));
    return existsSync(directory) ? readdirSync(directory).filter((name) => name.endsWith('.json')) : [];
  };

  const state = (cell: string): string =>
    readFileSync(join(bench.directory, '.pulumi', 'stacks', 'vmpool', `${stackOf(bench, cell)}.json`), 'utf8');

  /** Kills at the moment when the server is made and Pulumi does not know it yet. */
  const killInCreate = async (victim: 'pulumi' | 'node', wish: CellWish, name: string): Promise<ConvergeResult> => {
    const update = converge(wish);
    await until('the server is in the cloud', async () => (await bench.servers()).has(name));
    await until('there is a process to kill', () => bench.processes(victim).length > 0);
    for (const pid of bench.processes(victim)) {
      process.kill(pid, 'SIGKILL');
    }
    return update;
  };

  it(
    'with its pulumi in the middle of a create never tries that name again and goes on with the others',
    async () => {
      const { cell, name, other } = next();
      const wish = bench.wish(cell, [bench.member(name)]);
      const killed = await killInCreate('pulumi', wish, name);
      expect(killed).toMatchObject({ ok: false, message: expect.stringContaining('killed') });
      expect(killed.state?.lostCreates).toEqual([name]);
      expect(locks(cell)).toHaveLength(1);
      expect(state(cell)).toContain('"pending_operations"');

      const { events, take } = collectEvents();
      const again = await bench.engine.converge(
        bench.wish(cell, [bench.member(name), bench.member(other)]),
        take,
        never,
      );
      expect(again).toMatchObject({ ok: true, state: { lostCreates: [name] } });
      expect(membersIn(again)).toEqual([other]);
      expect(events.map(({ type, member }) => `${type} ${member}`)).toEqual([`created ${other}`]);
      expect(locks(cell)).toEqual([]);
      expect([...(await bench.servers()).keys()].filter((each) => each === name)).toEqual([name]);

      // Still remembered by a new engine, and forgotten once nobody names it.
      const third = await converge(bench.wish(cell, [bench.member(name), bench.member(other)]));
      expect(third).toMatchObject({ ok: true, state: { lostCreates: [name] } });
      const gone = await converge(bench.wish(cell, [bench.member(other)], [name]));
      expect(gone.ok).toBe(true);
      expect(membersIn(gone)).toEqual([other]);
    },
    3 * minutes,
  );

  it(
    'itself in the middle of a create says so, and the next call ends the orphans and recovers',
    async () => {
      const { cell, name, other } = next();
      const killed = await killInCreate('node', bench.wish(cell, [bench.member(name)]), name);
      expect(killed).toMatchObject({ ok: false, state: null, message: expect.stringContaining('SIGKILL') });
      const again = await converge(bench.wish(cell, [bench.member(name), bench.member(other)]));
      expect(again.ok).toBe(true);
      // The orphan may have brought its create to an end before it was killed; then it is known and not lost.
      const known = membersIn(again).includes(name);
      expect(again.state?.lostCreates).toEqual(known ? [] : [name]);
      expect(membersIn(again)).toContain(other);
      expect(locks(cell)).toEqual([]);
    },
    3 * minutes,
  );

  it(
    'before it has asked the cloud for anything brings the cell to its wish at the next call',
    async () => {
      const { cell, name } = next();
      const wish = bench.wish(cell, [bench.member(name)]);
      for (const delayMs of [150, 600, 1100]) {
        const update = converge(wish);
        await until('the engine has begun', () => bench.processes('node').length > 0);
        await new Promise((resolve) => setTimeout(resolve, delayMs));
        for (const pid of [...bench.processes('pulumi'), ...bench.processes('node')]) {
          process.kill(pid, 'SIGKILL');
        }
        expect((await update).ok).toBe(false);
      }
      const done = await converge(wish);
      expect(done.ok).toBe(true);
      expect([...membersIn(done), ...(done.state?.lostCreates ?? [])]).toEqual([name]);
    },
    3 * minutes,
  );

  it(
    'in the middle of a delete deletes again',
    async () => {
      const { cell, name, other } = next();
      await converge(bench.wish(cell, [bench.member(name), bench.member(other)]));
      const retire = bench.wish(cell, [bench.member(other)], [name]);
      const update = converge(retire);
      await until('the server is being deleted', async () => !(await bench.servers()).has(name));
      for (const pid of bench.processes('pulumi')) {
        process.kill(pid, 'SIGKILL');
      }
      expect((await update).ok).toBe(false);
      const again = await converge(retire);
      expect(again).toMatchObject({ ok: true, state: { lostCreates: [] } });
      expect(membersIn(again)).toEqual([other]);
    },
    3 * minutes,
  );

  it(
    'leaves the lock of somebody else alone and says whose it is',
    async () => {
      const { cell, name } = next();
      const wish = bench.wish(cell, [bench.member(name)]);
      const directory = join(bench.directory, '.pulumi', 'locks', 'organization', 'vmpool', stackOf(bench, cell));
      mkdirSync(directory, { recursive: true });
      const dead = 4_000_000;
      for (const host of ['elsewhere', hostname()]) {
        const path = join(directory, '11111111-2222-3333-4444-555555555555.json');
        writeFileSync(
          path,
          JSON.stringify({ pid: dead, username: 'ann', hostname: host, timestamp: '2026-01-02T03:04:05Z' }),
        );
        const busy = await converge(wish);
        expect(busy).toMatchObject({ ok: false, message: expect.stringContaining(`ann@${host} (pid ${dead})`) });
        expect(existsSync(path)).toBe(true);
        rmSync(path);
      }
      expect((await bench.servers()).has(name)).toBe(false);
    },
    minutes,
  );

  it(
    'leaves a state that cannot be read alone and says what to do',
    async () => {
      const { cell, name } = next();
      const path = join(bench.directory, '.pulumi', 'stacks', 'vmpool', `${stackOf(bench, cell)}.json`);
      writeFileSync(path, '{"version": 3, "checkpoi');
      const broken = await converge(bench.wish(cell, [bench.member(name)]));
      expect(broken).toMatchObject({ ok: false, state: null, message: expect.stringContaining('has not been touched') });
      expect(readFileSync(path, 'utf8')).toBe('{"version": 3, "checkpoi');
      rmSync(path);
    },
    minutes,
  );
});
