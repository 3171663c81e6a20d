import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { startEngineBench, until, type EngineBench } from '../support/engine.js';

const minutes = 60_000;
const never = new AbortController().signal;
const ignore = (): void => undefined;

describe('the engine process', () => {
  let bench: EngineBench;
  beforeAll(async () => {
    bench = await startEngineBench({ engine: { maxParallel: 2, orphanGraceMs: 0 } });
  }, minutes);
  afterAll(() => bench.close(), minutes);

  it(
    'fails a call that makes no sense alone, and never updates more cells side by side than it may',
    async () => {
      const cells = ['c001', 'c002', 'c003', 'c004', 'c005'];
      const updates = Promise.all(cells.map((cell) => bench.engine.converge(bench.wish(cell, []), ignore, never)));
      expect(await bench.engine.converge(bench.wish('../c006', []), ignore, never)).toMatchObject({
        ok: false,
        state: null,
        message: expect.stringContaining('is no cell name'),
      });
      let most = 0;
      let running = true;
      const watch = (async () => {
        while (running) {
          most = Math.max(most, bench.processes('pulumi').length);
          await sleep(20);
        }
      })();
      const results = await updates;
      running = false;
      await watch;
      expect(results.map(({ ok }) => ok)).toEqual(cells.map(() => true));
      expect(most).toBe(2);
    },
    2 * minutes,
  );

  it(
    'is killed when it stopped, and the next call recovers what it was doing',
    async () => {
      const engine = await bench.reopen({ abortAnswerMs: 300, abortEndMs: 1000 });
      const wish = bench.wish('c011', [bench.member('p-11-aa')]);
      const stop = new AbortController();
      const update = engine.converge(wish, ignore, stop.signal);
      await until('the server is in the cloud', async () => (await bench.servers()).has('p-11-aa'));
      for (const pid of bench.processes('node')) {
        process.kill(pid, 'SIGSTOP');
      }
      stop.abort();
      expect(await update).toMatchObject({ ok: false, kind: 'aborted', message: expect.stringContaining('aborted') });
      await until('the stopped process is gone', () => bench.processes('node').length === 0);
      const again = await engine.converge(wish, ignore, never);
      expect(again).toMatchObject({ ok: true });
      const known = (again.state?.instances ?? []).map(({ member }) => member);
      expect([...known, ...(again.state?.lostCreates ?? [])]).toEqual(['p-11-aa']);
    },
    2 * minutes,
  );

  it(
    'leaves nothing running when it is closed, whatever it is doing',
    async () => {
      for (const stopped of [false, true]) {
        const engine = await bench.reopen({ closeMs: stopped ? 500 : 20_000 });
        const cell = stopped ? 'c021' : 'c022';
        const name = stopped ? 'p-21-aa' : 'p-22-aa';
        await bench.fault({ effect: { kind: 'stuck-in-build' }, server: name });
        const update = engine.converge(bench.wish(cell, [bench.member(name)]), ignore, never);
        await until('the server is in the cloud', async () => (await bench.servers()).has(name));
        for (const pid of stopped ? bench.processes('node') : []) {
          process.kill(pid, 'SIGSTOP');
        }
        await engine.close();
        expect(await update).toMatchObject({ ok: false });
        for (const program of ['node', 'pulumi', 'pulumi-resource-openstack']) {
          expect(bench.processes(program)).toEqual([]);
        }
      }
      await bench.clearFaults();
    },
    2 * minutes,
  );
});
