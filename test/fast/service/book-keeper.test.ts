import { describe, expect, it } from '@jest/globals';
import type { Note } from '../../../src/pool/book.js';
import { emptyBook } from '../../../src/pool/book.js';
import { leaseIdOf } from '../../../src/pool/ids.js';
import type { InstallationId } from '../../../src/pool/model.js';
import { defaultPolicy } from '../../../src/pool/policy.js';
import { BookKeeper } from '../../../src/service/book-keeper.js';
import { StoreError } from '../../../src/store/port.js';
import { askOf, epoch, keyOf } from '../pool/fixture.js';
import { fakeLog, FakeStore } from './fake-ports.js';
import { calm } from './manual-clock.js';

function bench(): {
  keeper: BookKeeper;
  store: FakeStore;
  notes: Note[];
  log: ReturnType<typeof fakeLog>;
  seen: () => number;
} {
  const store = new FakeStore();
  const notes: Note[] = [];
  const log = fakeLog();
  const keeper = new BookKeeper(
    emptyBook('i' as InstallationId, 'p', epoch),
    store,
    () => ({ now: epoch, suffix: () => 's', policy: defaultPolicy, workers: ['w1'] }),
    (told) => notes.push(...told),
    log,
  );
  let count = 0;
  keeper.watch(() => (count += 1));
  return { keeper, store, notes, log, seen: () => count };
}

const asking = (job: string) => ({ type: 'ask', ask: askOf(keyOf(job)) }) as const;
const id = (job: string): string => leaseIdOf(keyOf(job));

/** Whether a promise has settled, told after everything else that needs no time. */
function watched<T>(promise: Promise<T>): { settled: boolean } {
  const state = { settled: false };
  const settle = (): void => {
    state.settled = true;
  };
  promise.then(settle, settle);
  return state;
}

describe('the keeper of the book', () => {
  it('answers, shows, tells and wakes nobody before the commit is durable', async () => {
    const { keeper, store, notes, seen } = bench();
    store.holding = true;
    const answer = keeper.dispatch(asking('1'));
    const state = watched(answer);
    await calm();
    expect(state.settled).toBe(false);
    expect(keeper.durable().book.requests.size).toBe(0);
    expect(keeper.newest().book.requests.keys()).toEqual([id('1')]);
    expect([notes, seen()]).toEqual([[], 0]);
    store.letGo();
    expect(await answer).toMatchObject({ type: 'ask', outcome: { kind: 'accepted', id: id('1') } });
    expect(keeper.durable().book.requests.keys()).toEqual([id('1')]);
    expect(notes).toEqual([expect.objectContaining({ kind: 'request', job: '1' })]);
    expect(seen()).toBeGreaterThan(0);
  });

  it('holds back the answer to a repetition too, which itself changes nothing', async () => {
    const { keeper, store } = bench();
    store.holding = true;
    const first = keeper.dispatch(asking('1'));
    const again = watched(keeper.dispatch(asking('1')));
    await calm();
    expect(again.settled).toBe(false);
    store.letGo();
    await first;
    await calm();
    expect(again.settled).toBe(true);
  });

  it('ends with the newest book when several commits become durable together', async () => {
    const { keeper, store } = bench();
    store.holding = true;
    const all = ['1', '2', '3'].map((job) => keeper.dispatch(asking(job)));
    store.letGo();
    await Promise.all(all);
    expect(keeper.durable().book.requests.keys()).toEqual(['1', '2', '3'].map(id).sort());
    expect(keeper.durable().book).toBe(keeper.newest().book);
    expect(store.committed.at(-1)).toBe(keeper.durable().book);
  });

  it('rejects what the disk refuses, says so, and heals with the next commit, the notes told then and once', async () => {
    const { keeper, store, notes, log } = bench();
    store.refusing = true;
    await expect(keeper.dispatch(asking('1'))).rejects.toBeInstanceOf(StoreError);
    await expect(keeper.dispatch({ type: 'tick' })).rejects.toBeInstanceOf(StoreError);
    expect(keeper.storeProblem()).toContain('the disk is full');
    expect(keeper.durable().book.requests.size).toBe(0);
    expect(notes).toEqual([]);
    expect(log.lines.filter((line) => line.includes('refuses to commit'))).toHaveLength(1);
    store.refusing = false;
    await keeper.dispatch({ type: 'tick' });
    expect(keeper.storeProblem()).toBeNull();
    expect(keeper.durable().book.requests.keys()).toEqual([id('1')]);
    expect(notes).toHaveLength(1);
    await keeper.dispatch({ type: 'tick' });
    expect(notes).toHaveLength(1);
    expect(log.lines.at(-1)).toContain('the store commits again');
  });

  it('writes nothing for what is only seen, and wakes those who watch', async () => {
    const { keeper, store, seen } = bench();
    await keeper.dispatch({ type: 'cloudFailed', why: 'no route' });
    expect(store.committed).toEqual([]);
    expect(seen()).toBe(1);
    expect(keeper.durable().sight.cloudProblem).toBe('no route');
    await keeper.dispatch({ type: 'tick' });
    expect(seen()).toBe(1);
  });

  it('stops calling who no longer watches, also from within a call', async () => {
    const { keeper } = bench();
    let calls = 0;
    const stop = keeper.watch(() => {
      calls += 1;
      stop();
    });
    await keeper.dispatch(asking('1'));
    await keeper.dispatch(asking('2'));
    expect(calls).toBe(1);
  });
});
