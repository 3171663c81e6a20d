import { afterEach, describe, expect, it } from '@jest/globals';
import { generateSshKey } from '../../../src/embedded/sandbox/host-key.js';
import { CloudError } from '../../../src/cloud/port.js';
import type { State } from '../../../src/pool/book.js';
import type { Member } from '../../../src/pool/book.js';
import type { MemberName } from '../../../src/pool/model.js';
import type { Policy } from '../../../src/pool/policy.js';
import { BookKeeper } from '../../../src/service/book-keeper.js';
import { Executor } from '../../../src/service/executor.js';
import { askOf, keyOf, Pool, ready, shapeOf, viewOf } from '../pool/fixture.js';
import { FakeCloud, FakeEngine, FakeGuest, fakeLog, FakeStore } from './fake-ports.js';
import { calm, deferred, ManualClock, until } from './manual-clock.js';

interface Bench {
  readonly clock: ManualClock;
  readonly log: ReturnType<typeof fakeLog>;
  readonly cloud: FakeCloud;
  readonly engine: FakeEngine;
  readonly guest: FakeGuest;
  readonly store: FakeStore;
  readonly keeper: BookKeeper;
  readonly executor: Executor;
  readonly consoles: string[];
  maxCells: number;
}

const open: Bench[] = [];
afterEach(async () => {
  for (const bench of open.splice(0)) {
    let stopped = false;
    void bench.executor.stop(0, 0).then(() => (stopped = true));
    await until(bench.clock, 'the end of all work', () => stopped);
  }
});

/** An executor over the book of a pool that the core's own steps have brought somewhere. */
function bench(
  pool: Pool,
  policy: Partial<Policy> = {},
  hostKeyPolicy: 'console' | 'first-sight' = 'first-sight',
): Bench {
  const clock = new ManualClock();
  const [log, cloud, guest, store] = [fakeLog(), new FakeCloud(), new FakeGuest(), new FakeStore()];
  const engine = new FakeEngine(cloud);
  let suffixes = 0;
  const context = () => ({
    now: clock.now(),
    suffix: () => `t${String((suffixes += 1))}`,
    policy: { ...pool.policy, ...policy },
    workers: ['w1'],
  });
  const keeper = new BookKeeper(pool.book, store, context, () => undefined, log);
  const consoles: string[] = [];
  const made: Bench = {
    ...{ clock, log, cloud, engine, guest, store, keeper, consoles, maxCells: 4 },
    executor: new Executor({
      ...{ keeper, engine, cloud, guest, context, clock, log },
      hostKeyPolicy,
      maxCells: () => made.maxCells,
      onConsole: (member, text) => consoles.push(`${member}: ${text}`),
    }),
  };
  keeper.watch(() => made.executor.kick());
  open.push(made);
  return made;
}

const memberOf = (s: State, name: MemberName): Member => {
  const member = s.book.members.get(name);
  if (member === undefined) throw new Error(`no ${name}`);
  return member;
};
const place = (b: Bench, name: MemberName): string => {
  const { state } = memberOf(b.keeper.durable(), name);
  return state.kind === 'Unusable' ? state.reason : state.kind;
};
const ask = (b: Bench, job: string) => b.keeper.dispatch({ type: 'ask', ask: askOf(keyOf(job)) });
/** Moves on as the service's own tick does. */
const pass = async (b: Bench, ms: number): Promise<void> => {
  await b.clock.advance(ms);
  b.executor.kick();
  await calm();
};

/** Until the cells that are to be brought up are: a burst of requests is gathered for some milliseconds. */
const gathered = (b: Bench): Promise<void> => pass(b, 100);

describe('updates of cells', () => {
  it('run one at a time for each cell, again when something is left, and report what came of them', async () => {
    const b = bench(new Pool(shapeOf({ min: 1 })));
    await gathered(b);
    b.executor.kick();
    b.executor.kick();
    await calm();
    expect(b.engine.runs).toHaveLength(1);
    const [run] = b.engine.runs;
    expect(run?.wish).toMatchObject({ cell: 'c001', members: [{ generation: 'g1' }], retire: [] });
    expect(b.keeper.durable().sight.cells['c001']?.running).toBe(true);
    if (run !== undefined) b.engine.finish(run);
    await calm();
    expect(b.keeper.durable().sight.cells['c001']?.running).toBe(false);
    const [member] = b.keeper.durable().book.members.values();
    expect(member).toMatchObject({ engine: 'managed', server: { id: 'server-1' } });
    expect(b.engine.runs).toHaveLength(1);
  });

  it('begin only with members that are durable', async () => {
    const b = bench(new Pool(shapeOf({ min: 0, max: 2 })));
    b.store.holding = true;
    const answer = ask(b, '1');
    await gathered(b);
    expect(b.keeper.newest().book.members.keys()).toHaveLength(1);
    expect(b.engine.runs).toEqual([]);
    b.store.letGo();
    await answer;
    await gathered(b);
    expect(b.engine.runs).toHaveLength(1);
  });

  it('wait for a member of their cell that is decided and not yet durable, and then take it along', async () => {
    const b = bench(new Pool(shapeOf({ min: 1, max: 2 })));
    b.store.holding = true;
    const answers = [ask(b, '1'), ask(b, '2')];
    await gathered(b);
    expect(b.keeper.durable().book.members.keys()).toHaveLength(1);
    expect(b.keeper.newest().book.members.keys()).toHaveLength(2);
    expect(b.engine.runs).toEqual([]);
    b.store.letGo();
    await Promise.all(answers);
    await gathered(b);
    expect(b.engine.runs.map(({ wish }) => wish.members.length)).toEqual([2]);
  });

  it('run side by side up to the limit, which may change at any time', async () => {
    const b = bench(new Pool(shapeOf({ min: 3 }), { cellSize: 1 }));
    b.maxCells = 1;
    await gathered(b);
    expect(b.engine.runs.map(({ wish }) => wish.cell)).toEqual(['c001']);
    b.maxCells = 2;
    b.executor.kick();
    await calm();
    expect(b.engine.runs.map(({ wish }) => wish.cell)).toEqual(['c001', 'c002']);
    const [first] = b.engine.runs;
    if (first !== undefined) b.engine.finish(first);
    await calm();
    expect(b.engine.runs.map(({ wish }) => wish.cell)).toEqual(['c001', 'c002', 'c003']);
  });

  it('that break off in an unforeseen way are reported and keep their distance', async () => {
    const b = bench(new Pool(shapeOf({ min: 1 })));
    await gathered(b);
    b.engine.runs[0]?.fail(new Error('the engine is gone'));
    await calm();
    b.executor.kick();
    await calm();
    expect(b.engine.runs).toHaveLength(1);
    expect(b.keeper.durable().sight.cells['c001']).toMatchObject({
      running: false,
      failures: 1,
      error: expect.stringContaining('the engine is gone'),
    });
    await until(b.clock, 'another run', () => {
      b.executor.kick();
      return b.engine.runs.length === 2;
    });
    expect(b.log.lines.join()).toContain('work failed in an unforeseen way');
  });
});

describe('work on VMs', () => {
  it('stages a lease once at a time, and again only after a distance when it failed', async () => {
    const b = bench(ready(1));
    const staging = deferred<{ ok: true }>();
    b.guest.onStage = () => staging.promise;
    await ask(b, '1');
    await pass(b, 1_000);
    await pass(b, 1_000);
    expect(b.guest.count('stage')).toBe(1);
    staging.reject(new Error('the channel broke'));
    b.guest.onStage = () => Promise.resolve({ ok: false, kind: 'unreachable', why: 'no route' });
    await calm();
    await pass(b, 499);
    expect(b.guest.count('stage')).toBe(1);
    await pass(b, 1);
    expect(b.guest.count('stage')).toBe(2);
    expect(b.keeper.durable().book.leases.values()).toEqual([expect.objectContaining({ ready: false })]);
  });

  it('stages nothing for a lease whose grant the disk has refused', async () => {
    const b = bench(ready(1));
    b.store.refusing = true;
    await expect(ask(b, '1')).rejects.toThrow('the disk is full');
    await pass(b, 1_000);
    expect(b.guest.count('stage')).toBe(0);
    b.store.refusing = false;
    await b.keeper.dispatch({ type: 'tick' });
    await pass(b, 500);
    expect(b.guest.count('stage')).toBe(1);
  });

  it('scrubs a VM after its job, reads its boot id then, and gives it back', async () => {
    const b = bench(ready(1));
    const { name } = ready(1).member();
    await ask(b, '1');
    await calm();
    expect(b.guest.count('stage')).toBe(1);
    const key = keyOf('1');
    await b.keeper.dispatch({
      type: 'release',
      release: { worker: key.worker, job: key.job, attempt: key.attempt, reason: 'done', holdFor: null },
    });
    await calm();
    const scrub = b.guest.calls.indexOf(`scrub ${name}`);
    expect(b.guest.calls.slice(scrub, scrub + 2)).toEqual([`scrub ${name}`, `probe ${name}`]);
    expect(place(b, name)).toBe('Free');
    expect(memberOf(b.keeper.durable(), name).bootId).toBe('boot');
  });

  it('tries a scrub that broke off again after two seconds, and keeps the VM out of use until then', async () => {
    const pool = ready(1);
    pool.release(keyOf((pool.ask(keyOf('1')), '1')));
    const { name } = pool.member();
    const b = bench(pool);
    b.guest.onScrub = () => Promise.reject(new Error('cut'));
    b.executor.kick();
    await calm();
    await pass(b, 1_999);
    expect([b.guest.count('scrub'), place(b, name)]).toEqual([1, 'scrubbing']);
    await pass(b, 1);
    expect(b.guest.count('scrub')).toBe(2);
  });

  it('rebuilds instead of scrubbing where the policy says so, and welcomes the VM anew', async () => {
    const pool = ready(1, {}, { reuse: 'rebuild' });
    pool.ask(keyOf('1'));
    pool.release(keyOf('1'));
    const { name } = pool.member();
    const b = bench(pool);
    const id = memberOf(b.keeper.durable(), name).server?.id;
    if (id === undefined) throw new Error('no server');
    b.cloud.servers.set(id, viewOf(name, id, { status: 'REBUILD', taskState: 'rebuilding' }));
    b.executor.kick();
    await calm();
    expect(b.cloud.rebuilt).toEqual([id]);
    expect(b.guest.calls).toContain(`forget ${name}`);
    await pass(b, 5_000);
    expect(place(b, name)).toBe('scrubbing');
    b.cloud.servers.set(id, viewOf(name, id));
    await pass(b, 1_000);
    expect(['building', 'Free']).toContain(place(b, name));
    expect(b.cloud.rebuilt).toHaveLength(1);
  });

  it('knocks at a new VM five times a second, and reads its console for the host keys only once it answers', async () => {
    const pool = new Pool(shapeOf({ min: 1 }));
    const { name } = pool.member();
    pool.list();
    const b = bench(pool, {}, 'console');
    b.cloud.console = 'booting';
    b.guest.onKnock = () => Promise.resolve({ ok: false, step: 'tcp', why: 'ECONNREFUSED' });
    await pass(b, 0);
    for (let n = 0; n < 10; n += 1) await b.clock.advance(201);
    expect(b.guest.count('knock')).toBe(11);
    expect(b.cloud.consoleReads).toBe(0);
    b.guest.onKnock = () => Promise.resolve({ ok: true });
    for (let n = 0; n < 30; n += 1) await b.clock.advance(100);
    expect(b.cloud.consoleReads).toBeGreaterThanOrEqual(3);
    expect(b.cloud.consoleReads).toBeLessThanOrEqual(6);
    expect(b.guest.count('probe')).toBe(0);
    const keys = '-----BEGIN SSH HOST KEY KEYS-----\n%KEY%\n-----END SSH HOST KEY KEYS-----';
    b.cloud.console = keys.replace('%KEY%', generateSshKey('host').publicLine);
    for (let n = 0; n < 10; n += 1) await b.clock.advance(100);
    expect(place(b, name)).toBe('Free');
  });

  it('asks VMs that are due together one after the other, four a second, and a silent one at once', async () => {
    const pool = ready(30, { max: 30 });
    const { bootId } = pool.member();
    const b = bench(pool, { probeEveryMs: 60_000 });
    b.guest.onProbe = () =>
      Promise.resolve({ ok: true, hostKeys: ['ssh-ed25519 AAAA'], marker: null, bootId: bootId ?? '' });
    const asked = (): string[] =>
      b.guest.calls.filter((call) => call.startsWith('probe ')).map((call) => call.slice(6));
    await pass(b, 0);
    expect(asked()).toHaveLength(30);
    b.guest.calls.splice(0);
    await pass(b, 60_000);
    expect(asked()).toHaveLength(8);
    for (let n = 0; n < 8; n += 1) await pass(b, 250);
    expect(asked()).toHaveLength(16);
    const late = b.keeper
      .durable()
      .book.members.keys()
      .find((name) => !asked().includes(name)) as MemberName;
    await b.keeper.dispatch({
      type: 'probed',
      member: late,
      result: { ok: false, step: 'command', why: 'slow' },
    });
    for (let n = 0; n < 20; n += 1) await pass(b, 250);
    // Those that were next in the line, and the silent one again beside them.
    expect(asked()).toHaveLength(30);
    expect(new Set(asked()).size).toBe(30);
  });

  it('does not blame a VM for a probe that could not even be tried', async () => {
    const b = bench(ready(1), { probeEveryMs: 1_000 });
    const { name } = ready(1).member();
    b.guest.onProbe = () => Promise.reject(new Error('no key file'));
    await pass(b, 1_000);
    expect(b.guest.count('probe')).toBe(1);
    await pass(b, 1_999);
    expect(b.guest.count('probe')).toBe(1);
    await pass(b, 1);
    await pass(b, 0);
    expect(b.guest.count('probe')).toBe(2);
    expect(place(b, name)).toBe('Free');
  });
});

describe('servers that end through Nova', () => {
  /** A VM on its way out that its stack no longer holds, while its server is still there. */
  const ending = (): { b: Bench; name: MemberName } => {
    const pool = ready(1);
    const { name, cell } = pool.member();
    pool.event({ type: 'adopt', shape: shapeOf({ min: 0 }) });
    pool.event({ type: 'retire', member: name, why: 'old' });
    pool.event({ type: 'engine', event: { type: 'removed', cell, member: name } });
    expect(pool.place(name)).toBe('deleting');
    const b = bench(pool);
    const id = pool.member().server?.id;
    if (id === undefined) throw new Error('no server');
    b.cloud.servers.set(id, viewOf(name, id));
    return { b, name };
  };

  it('are looked at by id, deleted, and looked at again until they are gone', async () => {
    const { b, name } = ending();
    await pass(b, 2_000);
    expect(b.cloud.deleted).toHaveLength(1);
    expect(b.keeper.durable().book.members.has(name)).toBe(true);
    await pass(b, 2_000);
    expect(b.cloud.deleted).toHaveLength(1);
    expect(b.keeper.durable().book.members.has(name)).toBe(false);
  });

  it('may be in the middle of something: a conflict is no failure, the next look decides', async () => {
    const { b } = ending();
    const { onDelete } = b.cloud;
    b.cloud.onDelete = () => Promise.reject(new CloudError('conflict', 'task_state is spawning'));
    await pass(b, 2_000);
    expect(b.cloud.deleted).toHaveLength(1);
    expect(b.keeper.durable().sight.cloudProblem).toBeNull();
    expect(b.log.lines).toEqual([]);
    b.cloud.onDelete = onDelete;
    await pass(b, 2_000);
    await pass(b, 2_000);
    expect(b.keeper.durable().book.members.size).toBe(0);
  });

  it('wait while the cloud does not answer, and the status says why', async () => {
    const { b } = ending();
    b.cloud.onServer = () => Promise.reject(new CloudError('unavailable', 'HTTP 503'));
    await pass(b, 2_000);
    expect(b.keeper.durable().sight.cloudProblem).toBe('HTTP 503');
    expect(b.cloud.deleted).toEqual([]);
  });

  it('leave the end of their console in the history when they never came up', async () => {
    const pool = new Pool(shapeOf({ min: 1 }));
    pool.list();
    const { name } = pool.member();
    pool.list({ [name]: { status: 'ERROR', fault: 'no valid host' } });
    const b = bench(pool);
    b.cloud.console = 'Kernel panic';
    b.executor.kick();
    await calm();
    b.executor.kick();
    await calm();
    expect(b.consoles).toEqual([`${name}: Kernel panic`]);
  });

  it('wait until their console has been read', async () => {
    const pool = new Pool(shapeOf({ min: 1 }));
    pool.list();
    const { name, cell } = pool.member();
    pool.list({ [name]: { status: 'ERROR', fault: 'no valid host' } });
    pool.event({ type: 'retire', member: name, why: 'old' });
    pool.event({ type: 'engine', event: { type: 'removed', cell, member: name } });
    expect(pool.place(name)).toBe('deleting');
    const id = pool.member().server?.id;
    if (id === undefined) throw new Error('no server');
    const b = bench(pool);
    b.cloud.servers.set(id, viewOf(name, id));
    let answer: (text: string) => void = () => undefined;
    b.cloud.onConsole = () => new Promise((resolve) => (answer = resolve));
    await pass(b, 2_000);
    await pass(b, 2_000);
    expect(b.cloud.consoleReads).toBe(1);
    expect(b.cloud.deleted).toEqual([]);
    answer('Kernel panic');
    await calm();
    expect(b.consoles).toEqual([`${name}: Kernel panic`]);
    expect(b.cloud.deleted).toEqual([id]);
  });
});

describe('a stop', () => {
  it('ends work on VMs at once, gives updates of cells their time, then ends them too', async () => {
    const pool = ready(1, { min: 1 });
    pool.ask(keyOf('1'));
    pool.ask(keyOf('2'));
    const b = bench(pool);
    const signals: AbortSignal[] = [];
    b.guest.onStage = (_target, _order, signal) => {
      signals.push(signal);
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reject(new Error('aborted'));
        });
      });
    };
    await gathered(b);
    const [run] = b.engine.runs;
    expect([signals.length, b.engine.runs.length]).toEqual([1, 1]);
    let stopped = false;
    const stopping = b.executor.stop(30_000, 10_000).then(() => (stopped = true));
    await calm();
    expect(signals[0]?.aborted).toBe(true);
    expect(run?.signal.aborted).toBe(false);
    await b.clock.advance(29_999);
    expect(run?.signal.aborted).toBe(false);
    await b.clock.advance(1);
    expect(run?.signal.aborted).toBe(true);
    expect(stopped).toBe(false);
    run?.end({ ok: false, state: null, kind: 'aborted', message: 'cancelled' });
    await stopping;
    b.executor.kick();
    await calm();
    expect(b.engine.runs).toHaveLength(1);
    expect(b.guest.count('stage')).toBe(1);
    expect(b.log.lines).toEqual([]);
  });

  it('is over as soon as everything has ended', async () => {
    const b = bench(new Pool(shapeOf({ min: 1 })));
    await gathered(b);
    const stopping = b.executor.stop(30_000, 10_000);
    const [run] = b.engine.runs;
    if (run !== undefined) b.engine.finish(run);
    await stopping;
    const [member] = b.keeper.durable().book.members.values();
    expect(member?.engine).toBe('managed');
    expect(b.clock.naps).toEqual([]);
  });

  it('leaves what does not end in spite of everything after its time', async () => {
    const b = bench(new Pool(shapeOf({ min: 1 })));
    await gathered(b);
    const stopping = b.executor.stop(1_000, 1_000);
    await b.clock.advance(1_000);
    await b.clock.advance(1_000);
    await stopping;
  });
});
