import { describe, expect, it } from '@jest/globals';
import type { PoolEvent } from '../../../src/pool/step.js';
import { keyOf, type Pool, ready } from './fixture.js';

type Order = Extract<PoolEvent['type'], 'hold' | 'unhold' | 'drain' | 'retire' | 'kill'>;

/** What the operator is answered. */
function told(pool: Pool, type: Order, member = pool.member().name as string, why = 'look'): string {
  return answerOf(pool, { type, member, why });
}
function answerOf(pool: Pool, event: PoolEvent): string {
  const outcome = pool.event(event);
  if (outcome.type !== 'operator') throw new Error(outcome.type);
  const { kind, detail } = outcome.outcome;
  return kind === 'done' ? detail : `${outcome.outcome.code}: ${detail}`;
}
/** What was noted since, of VMs and of the pool. */
const noted = (pool: Pool): string[] => pool.notes.map(({ kind, detail }) => `${kind}: ${detail}`);
const own = keyOf('1.s');
const busy = (): Pool => {
  const pool = ready(1);
  pool.stage(pool.ask(own));
  pool.notes = [];
  return pool;
};
const free = (): Pool => {
  const pool = ready(1);
  pool.notes = [];
  return pool;
};

describe('an order about a VM is answered in words, and noted', () => {
  it('hold', () => {
    const pool = free();
    const { name } = pool.member();
    expect(told(pool, 'hold')).toBe(`${name} is held`);
    expect(noted(pool)).toContain('vm: Free -> held: look');
    expect(told(pool, 'hold')).toBe(`conflict: ${name} is held already: look`);
    expect(told(pool, 'drain')).toBe(`conflict: ${name} is held already: look`);
    pool.notes = [];
    expect(told(pool, 'unhold')).toBe(`${name} goes to the scrub`);
    expect(noted(pool)).toContain('vm: held -> scrubbing: given back by an operator');
    expect(told(pool, 'unhold')).toBe(`conflict: ${name} is not held`);
  });

  it('hold of one with a job', () => {
    const pool = busy();
    const { name } = pool.member();
    expect(told(pool, 'hold')).toBe(`${name} is running a job and will be held when it ends`);
    expect(noted(pool)).toEqual(['vm: will be held when its job ends: look']);
    expect(pool.place(name)).toBe('Busy');
    expect(told(pool, 'drain')).toBe(`conflict: ${name} is to be held already: look`);
    expect(told(pool, 'unhold')).toBe(`${name} will not be held when its job ends`);
    expect(told(pool, 'unhold')).toBe(`conflict: ${name} is not held`);
    expect(pool.member().hold).toBeNull();
  });

  it('drain', () => {
    const pool = free();
    const { name } = pool.member();
    expect(told(pool, 'drain')).toBe(`${name} is drained`);
    expect(noted(pool)).toContain('vm: Free -> held: look');
    expect(told(pool, 'drain')).toBe(`conflict: ${name} is drained already: look`);
    expect(told(pool, 'unhold')).toBe(`${name} goes to the scrub`);
  });

  it('drain of one with a job', () => {
    const pool = busy();
    const { name } = pool.member();
    const gone = `${name} runs a job and gets no other; it is drained when that has ended and it is clean`;
    expect(told(pool, 'drain')).toBe(gone);
    expect(noted(pool)).toEqual(['vm: will be drained: look']);
    expect(told(pool, 'drain')).toBe(`conflict: ${name} is to be drained already: look`);
    expect(told(pool, 'unhold')).toBe(`${name} gets jobs again`);
    expect(told(pool, 'drain')).toBe(gone);
    pool.release(own);
    expect(pool.place(name)).toBe('scrubbing');
    expect(told(pool, 'unhold')).toBe(`${name} gets jobs again`);
    expect(told(pool, 'drain')).toBe(`${name} gets no job; it is drained as soon as it is clean`);
  });

  it('retire', () => {
    const pool = free();
    const { name } = pool.member();
    expect(told(pool, 'retire')).toBe(`${name} is being retired`);
    expect(noted(pool)).toContain('vm: Free -> deleting: look');
    for (const order of ['hold', 'drain'] as const)
      expect(told(pool, order, name)).toBe(`conflict: ${name} is being deleted`);
    for (const order of ['retire', 'kill'] as const)
      expect(told(pool, order, name)).toBe(`${name} is being deleted already`);
    const running = busy();
    const other = running.member().name;
    expect(told(running, 'retire')).toBe(`${other} is running a job and goes when it ends`);
    expect(running.member()).toMatchObject({ retire: 'look', state: { kind: 'Busy' } });
  });

  it('kill', () => {
    const pool = busy();
    const { name } = pool.member();
    told(pool, 'hold');
    expect(told(pool, 'kill')).toBe(`${name} is being deleted, and job 1.s with it`);
    expect(pool.member()).toMatchObject({ retire: 'look', hold: null });
    expect(pool.place(name)).toBe('deleting');
    expect(noted(pool).join('\n')).toContain('its VM was killed by an operator: look');
    const idle = free();
    expect(told(idle, 'kill')).toBe(`${idle.member().name} is being deleted`);
  });

  it('with the name of who gave it, before what follows from it, and not when it is refused', () => {
    const pool = ready(1, { max: 1 });
    pool.notes = [];
    const { name } = pool.member();
    const member = name as string;
    answerOf(pool, { type: 'hold', member, why: 'core dumps', by: 'anna' });
    answerOf(pool, { type: 'hold', member, why: 'core dumps', by: 'bert' });
    answerOf(pool, { type: 'unhold', member, by: 'bert' });
    answerOf(pool, { type: 'pause', why: 'repair', forMs: 1_000, by: 'anna' });
    answerOf(pool, { type: 'resume', by: 'carl' });
    answerOf(pool, { type: 'kill', member, why: '', by: 'anna' });
    expect(noted(pool)).toEqual([
      'order: hold, ordered by anna: core dumps',
      'vm: Free -> held: core dumps',
      'order: unhold, ordered by bert',
      'vm: held -> scrubbing: given back by an operator',
      'order: pause, ordered by anna: repair',
      'pause: changes of the cloud are paused for 1 s: repair',
      'order: resume, ordered by carl',
      'pause: changes of the cloud go on: by an operator',
      'order: kill, ordered by anna',
      expect.stringMatching(/^vm: scrubbing -> deleting/),
      ...pool.notes.slice(10).map(() => expect.anything()),
    ]);
    const orders = pool.notes.filter(({ kind }) => kind === 'order');
    expect(orders.map(({ by, member: of }) => [by, of])).toEqual([
      ['anna', name],
      ['bert', name],
      ['anna', undefined],
      ['carl', undefined],
      ['anna', name],
    ]);
  });

  it('with the name of who gave it, also where nothing follows yet', () => {
    const pool = busy();
    answerOf(pool, { type: 'retire', member: pool.member().name, why: 'old', by: 'anna' });
    expect(noted(pool)).toEqual(['order: retire, ordered by anna: old']);
  });

  it('of a VM that there is not', () => {
    const pool = free();
    for (const order of ['hold', 'drain', 'unhold', 'retire', 'kill'] as const)
      expect(told(pool, order, 'p-9')).toBe('not-found: there is no VM p-9 in this pool');
    expect(noted(pool)).toEqual([]);
  });

  it('unhold of one whose marker is somebody else’s: no, and what ends it', () => {
    const pool = free();
    const { name } = pool.member();
    pool.probe(name, keyOf('9.s'));
    expect(told(pool, 'unhold')).toContain(`conflict: ${name} is held because it is not known whether a job`);
    expect(told(pool, 'unhold')).toContain(`vmpool retire ${name}`);
    expect(pool.place(name)).toBe('held');
  });
});

describe('a pause of the changes', () => {
  it('is told with its end, noted, and begins anew when it is said again', () => {
    const pool = ready(1);
    pool.notes = [];
    const pause = (forMs: number): string => answerOf(pool, { type: 'pause', forMs, why: 'audit' });
    const end = (ms: number): string => new Date(pool.now + ms).toISOString();
    expect(pause(60_000)).toBe(`changes are paused until ${end(60_000)}`);
    expect(noted(pool)).toEqual(['pause: changes of the cloud are paused for 60 s: audit']);
    pool.now += 30_000;
    expect(pause(60_000)).toBe(`changes are paused until ${end(60_000)}`);
    pool.notes = [];
    const resume = (): string => answerOf(pool, { type: 'resume' });
    expect(resume()).toBe('changes go on');
    expect(noted(pool)).toEqual(['pause: changes of the cloud go on: by an operator']);
    expect(resume()).toBe('changes are not paused');
  });

  it('says which updates go on to their end', () => {
    const pool = ready(1);
    pool.event({ type: 'runBegan', cell: pool.member().cell });
    expect(answerOf(pool, { type: 'pause', forMs: 1_000, why: 'audit' })).toMatch(
      /; 1 updates that run already go on to their end$/,
    );
  });
});
