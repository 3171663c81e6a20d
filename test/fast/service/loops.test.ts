import { describe, expect, it } from '@jest/globals';
import { CloudError, type Listing } from '../../../src/cloud/port.js';
import type { Book } from '../../../src/pool/book.js';
import { emptyBook } from '../../../src/pool/book.js';
import type { CellName, InstallationId, Shape } from '../../../src/pool/model.js';
import { defaultPolicy } from '../../../src/pool/policy.js';
import { BookKeeper } from '../../../src/service/book-keeper.js';
import {
  adoptOnce,
  listingPeriod,
  lookForCells,
  publishSummaries,
  startLoop,
  watchCloud,
} from '../../../src/service/loops.js';
import { askOf, epoch, keyOf, Pool, ready, shapeOf } from '../pool/fixture.js';
import { FakeCloud, FakeEngine, fakeLog, FakeStore } from './fake-ports.js';
import { calm, deferred, ManualClock } from './manual-clock.js';

const never = new AbortController().signal;

function bench(book: Book = emptyBook('i' as InstallationId, 'p', epoch)) {
  const clock = new ManualClock();
  const log = fakeLog();
  const cloud = new FakeCloud();
  const engine = new FakeEngine(cloud);
  const context = () => ({ now: clock.now(), suffix: () => 's', policy: defaultPolicy, workers: ['w1'] });
  const keeper = new BookKeeper(book, new FakeStore(), context, () => undefined, log);
  return { clock, log, cloud, engine, keeper };
}

describe('the look for cells', () => {
  it('tells what the engine has, and tries again when it cannot be listed', async () => {
    const { clock, log, engine, keeper } = bench();
    engine.found = new Error('the bucket does not answer');
    const loop = lookForCells(keeper, engine, clock, log);
    await calm();
    expect(log.lines).toEqual([expect.stringContaining('the stacks of cells could not be listed')]);
    engine.found = [{ cell: 'c003' as CellName, instances: [] }];
    await clock.advance(10_000);
    expect(keeper.durable().sight.unexplored).toEqual(['c003']);
    await clock.advance(600_000);
    expect(engine.looks).toBe(2);
    await loop.stop();
  });
});

describe('a loop', () => {
  it('pauses as each round says, starts the next at once when kicked, and ends when stopped', async () => {
    const { clock, log } = bench();
    let rounds = 0;
    const loop = startLoop(clock, log, 'test', () => {
      rounds += 1;
      return Promise.resolve(1_000);
    });
    await calm();
    expect(rounds).toBe(1);
    await clock.advance(999);
    expect(rounds).toBe(1);
    await clock.advance(1);
    expect(rounds).toBe(2);
    loop.kick();
    await calm();
    expect(rounds).toBe(3);
    await loop.stop();
    await clock.advance(10_000);
    expect(rounds).toBe(3);
    expect(clock.naps).toEqual([]);
  });

  it('keeps a kick that comes in the middle of a round', async () => {
    const { clock, log } = bench();
    const first = deferred<number>();
    let rounds = 0;
    const loop = startLoop(clock, log, 'test', () => {
      rounds += 1;
      return rounds === 1 ? first.promise : Promise.resolve(1_000);
    });
    loop.kick();
    first.resolve(1_000);
    await calm();
    expect(rounds).toBe(2);
    await loop.stop();
  });

  it('goes on after a round that failed, later and with a line in the log', async () => {
    const { clock, log } = bench();
    let rounds = 0;
    const loop = startLoop(clock, log, 'test', () => {
      rounds += 1;
      return rounds === 1 ? Promise.reject(new Error('odd')) : Promise.resolve(1_000);
    });
    await calm();
    expect(log.lines).toEqual([expect.stringContaining('error a round failed in an unforeseen way')]);
    await clock.advance(5_000);
    expect(rounds).toBe(2);
    await loop.stop();
  });

  it('tells a round under way to end, waits for it, and does not complain of what it says then', async () => {
    const { clock, log } = bench();
    const loop = startLoop(
      clock,
      log,
      'test',
      (signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            reject(new Error('cut off'));
          });
        }),
    );
    await calm();
    await loop.stop();
    expect(log.lines).toEqual([]);
  });
});

describe('the watch of the cloud', () => {
  const periods = { busyMs: 1_000, quietMs: 30_000 };

  it('reads the cloud often while something is expected, and seldom otherwise', async () => {
    const { clock, log, cloud, keeper } = bench();
    let listings = 0;
    cloud.onList = () => {
      listings += 1;
      return Promise.resolve({ servers: [], complete: true });
    };
    const loop = watchCloud(keeper, cloud, clock, log, () => periods);
    await calm();
    await clock.advance(29_999);
    expect(listings).toBe(1);
    await keeper.dispatch({ type: 'adopt', shape: shapeOf({ min: 1 }) });
    await clock.advance(1);
    expect(listings).toBe(2);
    await clock.advance(1_000);
    expect(listings).toBe(3);
    expect(keeper.durable().sight.lastListing).toMatchObject({ at: clock.now(), complete: true });
    await loop.stop();
  });

  it('lists only what has changed while something is expected, and everything every ten seconds', async () => {
    const { clock, log, cloud, keeper } = bench();
    const asked: string[] = [];
    cloud.onList = () => {
      asked.push('all');
      return Promise.resolve({ servers: [], complete: true });
    };
    cloud.onChanged = () => {
      asked.push('changed');
      return Promise.resolve({ servers: [], complete: false, why: 'changes only' });
    };
    await keeper.dispatch({ type: 'adopt', shape: shapeOf({ min: 1 }) });
    const loop = watchCloud(keeper, cloud, clock, log, () => periods);
    await calm();
    for (let second = 0; second < 20; second += 1) await clock.advance(1_000);
    const nine = Array.from({ length: 9 }, () => 'changed');
    expect(asked).toEqual(['all', ...nine, 'all', ...nine, 'all']);
    await loop.stop();
  });

  it('lists everything every tenth time while nothing is expected and all VMs are well', async () => {
    const { clock, log, cloud, keeper } = bench();
    const asked: string[] = [];
    const listing = (what: string, complete: boolean) => () => {
      asked.push(what);
      return Promise.resolve({ servers: [], complete, why: what } as Listing);
    };
    cloud.onList = listing('all', true);
    cloud.onChanged = listing('changed', false);
    const loop = watchCloud(keeper, cloud, clock, log, () => periods);
    await calm();
    for (let period = 0; period < 20; period += 1) await clock.advance(30_000);
    const nine = Array.from({ length: 9 }, () => 'changed');
    expect(asked).toEqual(['all', ...nine, 'all', ...nine, 'all']);
    await keeper.dispatch({ type: 'adopt', shape: shapeOf({ min: 1 }) });
    const [member] = keeper.durable().book.members.values();
    if (member === undefined) throw new Error('no member');
    await keeper.dispatch({ type: 'hold', member: member.name, why: 'a look' });
    asked.splice(0);
    // A held VM is none to be waited for, but not well either.
    for (let period = 0; period < 3; period += 1) await clock.advance(30_000);
    expect(asked).toEqual(['all', 'all', 'all']);
    await loop.stop();
  });

  it('reads it sooner where a request waits for a server: after a twentieth of the time that this takes, within bounds', () => {
    const pool = new Pool(shapeOf({ min: 1, max: 1 }));
    const born = pool.now;
    const after = (ms: number): number => listingPeriod(pool.state, periods, born + ms);
    expect(after(0)).toBe(1_000);
    pool.ask(keyOf('1'));
    expect([0, 5_000, 8_000, 60_000].map(after)).toEqual([250, 250, 400, 500]);
    // A site's own period is never made longer.
    expect(listingPeriod(pool.state, { busyMs: 200, quietMs: 400 }, born)).toBe(200);
    pool.list({ [pool.member().name]: { status: 'ACTIVE' } });
    expect(after(4_000)).toBe(1_000);
    pool.boot();
    expect(after(4_000)).toBe(30_000);
  });

  it('leaves a cloud that answers slowly four times as long for itself, and lists changes meanwhile where those are quick', async () => {
    const { clock, log, cloud, keeper } = bench();
    await keeper.dispatch({ type: 'adopt', shape: shapeOf({ min: 1 }) });
    const asked: string[] = [];
    let changesTakeMs = 0;
    cloud.onList = async () => {
      asked.push('all');
      await clock.sleep(4_000, never);
      return { servers: [], complete: true };
    };
    cloud.onChanged = async () => {
      asked.push('changed');
      if (changesTakeMs > 0) await clock.sleep(changesTakeMs, never);
      return { servers: [], complete: false, why: 'changes only' };
    };
    const loop = watchCloud(keeper, cloud, clock, log, () => periods);
    await calm();
    await clock.advance(4_000);
    expect(clock.naps).toEqual([1_000]);
    for (let second = 0; second < 15; second += 1) await clock.advance(1_000);
    expect(asked).toEqual(['all', ...Array.from({ length: 15 }, () => 'changed')]);
    await clock.advance(1_000);
    expect(asked.at(-1)).toBe('all');
    await clock.advance(4_000);
    changesTakeMs = 600;
    await clock.advance(1_000);
    await clock.advance(600);
    expect(clock.naps).toEqual([2_400]);
    changesTakeMs = 5_000;
    await clock.advance(2_400);
    await clock.advance(5_000);
    expect(clock.naps).toEqual([10_000]);
    await loop.stop();
  });

  it('waits as long as the cloud asks for', async () => {
    const { clock, log, cloud, keeper } = bench();
    cloud.onList = () => Promise.reject(new CloudError('rate-limited', 'HTTP 429', 90_000));
    const loop = watchCloud(keeper, cloud, clock, log, () => periods);
    await calm();
    expect(clock.naps).toEqual([90_000]);
    expect(keeper.durable().sight.restUntil).toBe(clock.now() + 90_000);
    await loop.stop();
  });

  it('passes on that a listing is not whole', async () => {
    const { clock, log, cloud, keeper } = bench();
    cloud.onList = () => Promise.resolve({ servers: [], complete: false, why: 'page 2' });
    const loop = watchCloud(keeper, cloud, clock, log, () => periods);
    await calm();
    expect(keeper.durable().sight.lastListing).toMatchObject({ complete: false });
    await loop.stop();
  });

  it.each([
    ['unavailable', 15_000],
    ['unauthorised', 60_000],
  ] as const)(
    'asks a cloud that fails (%s) less and less often, says so, and recovers with the first answer',
    async (kind, longest) => {
      const { clock, log, cloud, keeper } = bench();
      cloud.onList = () => Promise.reject(new CloudError(kind, 'HTTP 503'));
      const loop = watchCloud(keeper, cloud, clock, log, () => periods);
      await calm();
      const pauses: number[] = [];
      for (let n = 0; n < 8; n += 1) {
        const [pause = 0] = clock.naps;
        pauses.push(pause);
        await clock.advance(pause);
      }
      expect(pauses).toEqual(
        [2, 4, 8, 16, 32, 64, 64, 64].map((seconds) => Math.min(longest, seconds * 1_000)),
      );
      expect(keeper.durable().sight.cloudProblem).toBe('HTTP 503');
      cloud.onList = () => Promise.resolve({ servers: [], complete: true });
      await clock.advance(longest);
      expect(keeper.durable().sight.cloudProblem).toBeNull();
      expect(clock.naps).toEqual([30_000]);
      await loop.stop();
    },
  );
});

describe('adopting the shape', () => {
  const parse = (outputs: unknown) =>
    outputs === 'wrong'
      ? ({ ok: false, why: 'no min' } as const)
      : ({ ok: true, shape: outputs as Shape } as const);
  const accept = (why: string | null) => (shape: Shape) =>
    Promise.resolve(why === null ? ({ ok: true, shape } as const) : ({ ok: false, why } as const));

  it.each([
    [new Error('no backend'), null, /cannot be read: no backend/],
    [null, null, /never been brought up: run vmpool apply/],
    ['wrong', null, /no min/],
    [shapeOf(), 'there is no flavor g1', /there is no flavor g1/],
  ])(
    'refuses %p (objection %p), keeps the reason for the status and the shape as it was',
    async (outputs, objection, why) => {
      const { engine, keeper } = bench();
      const old = shapeOf({ max: 9 });
      await keeper.dispatch({ type: 'adopt', shape: old });
      engine.outputs = outputs;
      const answer = await adoptOnce(keeper, engine, parse, accept(objection), never);
      expect(answer).toMatchObject({ kind: 'refused', code: 'conflict', detail: expect.stringMatching(why) });
      expect(keeper.durable().sight.shapeProblem).toMatch(why);
      expect(keeper.durable().book.shape).toEqual(old);
    },
  );

  it('takes over what is published and accepted, and forgets the last refusal', async () => {
    const { engine, keeper } = bench();
    await adoptOnce(keeper, engine, parse, accept(null), never);
    expect(keeper.durable().sight.shapeProblem).not.toBeNull();
    engine.outputs = shapeOf({ min: 1, max: 5 });
    expect(await adoptOnce(keeper, engine, parse, accept(null), never)).toMatchObject({
      kind: 'done',
      value: { detail: expect.stringContaining('min 1, max 5') },
    });
    expect(keeper.durable().book.shape).toMatchObject({ min: 1, max: 5 });
    expect(keeper.durable().sight.shapeProblem).toBeNull();
  });
});

describe('the summary for previews', () => {
  it('is published once the list has been still for ten seconds, and not again for leases', async () => {
    const { clock, log, engine, keeper } = bench(ready(1).book);
    const loop = publishSummaries(keeper, engine, clock, log);
    for (let n = 0; n < 4; n += 1) await clock.advance(2_000);
    expect(engine.published).toEqual([]);
    await clock.advance(2_000);
    expect(engine.published).toEqual([[expect.objectContaining({ cell: 'c001', state: 'usable' })]]);
    await keeper.dispatch({ type: 'ask', ask: askOf(keyOf('1')) });
    expect(keeper.durable().book.leases.keys()).toHaveLength(1);
    for (let n = 0; n < 20; n += 1) await clock.advance(2_000);
    expect(engine.published).toHaveLength(1);
    await loop.stop();
  });

  it('is published after a minute at the latest, however restless the pool is', async () => {
    const { clock, log, engine, keeper } = bench();
    const loop = publishSummaries(keeper, engine, clock, log);
    for (let n = 1; n <= 20 && engine.published.length === 0; n += 1) {
      await keeper.dispatch({ type: 'adopt', shape: shapeOf({ min: n, max: 30 }) });
      await clock.advance(4_000);
    }
    expect(clock.now() - epoch).toBeGreaterThanOrEqual(60_000);
    expect(engine.published).toHaveLength(1);
    await loop.stop();
  });

  it('is tried again half a minute after the stack refused it', async () => {
    const { clock, log, engine, keeper } = bench(ready(1).book);
    engine.publishFailure = new Error('locked');
    const loop = publishSummaries(keeper, engine, clock, log);
    for (let n = 0; n < 5; n += 1) await clock.advance(2_000);
    expect(log.lines).toEqual([expect.stringContaining('warn the summary stack could not be written')]);
    engine.publishFailure = null;
    await clock.advance(29_999);
    expect(engine.published).toEqual([]);
    await clock.advance(1);
    expect(engine.published).toHaveLength(1);
    await loop.stop();
  });
});
