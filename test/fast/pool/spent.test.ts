import { describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { bookSchema } from '../../../src/pool/book-schema.js';
import { leaseIdOf } from '../../../src/pool/ids.js';
import { jobEndOf, type Measured } from '../../../src/pool/measured.js';
import { jobLineOf } from '../../../src/usage/journal.js';
import { keyOf, type Pool, ready } from './fixture.js';

const used = (changes: Partial<Measured> = {}): Measured => ({
  ...{ cpuSeconds: 30, memoryBytes: 2 ** 20, wallSeconds: 60, begun: true, code: 0, told: false, over: null },
  ...changes,
});
const over = (limit: 'mem' | 'pcput'): Measured['over'] => ({ limit, value: 2, most: 1 });

describe('how a job ended', () => {
  const known = { ready: true, lost: false, exit: 0 };
  it.each([
    ['finished', known, used()],
    ['finished', known, null],
    ['failed', { ...known, exit: 3 }, used({ code: 3 })],
    ['failed', { ...known, exit: 1 }, null],
    ['failed', { ...known, exit: 255 }, used({ code: 255 })],
    ['signalled', { ...known, exit: 139 }, used({ code: 139 })],
    ['cancelled', { ...known, exit: 143 }, used({ code: 143, told: true })],
    ['cancelled', { ...known, exit: 0 }, used({ code: 0, told: true })],
    ['cancelled', { ...known, exit: 33 }, used({ code: 33, told: true })],
    ['cancelled', { ...known, exit: 271 }, used({ code: null })],
    ['cancelled', { ...known, exit: 271 }, null],
    ['cancelled', { ...known, exit: -11 }, used({ code: 143 })],
    ['cancelled', { ...known, exit: null }, used({ code: null })],
    ['over-memory', { ...known, exit: 137 }, used({ code: 137, over: over('mem') })],
    ['over-cput', { ...known, exit: 271 }, used({ code: 143, over: over('pcput') })],
    ['never-started', { ...known, ready: false, exit: null }, null],
    ['never-started', { ...known, exit: 98 }, used({ begun: false, code: null })],
    ['never-started', { ...known, exit: 97 }, used({ begun: false, code: null })],
    ['failed', { ...known, exit: 96 }, used({ begun: false, code: null })],
    ['never-started', { ...known, exit: -2 }, null],
    ['finished', { ...known, exit: 0 }, used({ begun: false, code: null })],
    ['failed', { ...known, exit: 4 }, used({ begun: false, code: 4 })],
    ['finished', { ...known, exit: null }, used({ begun: false, code: 0 })],
    ['vm-lost', { ...known, exit: 99 }, null],
    ['vm-lost', { ...known, exit: 99 }, used({ code: null })],
    ['failed', { ...known, exit: 99 }, used({ code: 99 })],
    ['vm-lost', { ...known, lost: true, exit: null }, null],
    ['finished', { ...known, exit: null }, used()],
    ['unknown', { ...known, exit: null }, null],
    ['unknown', { ...known, exit: -9 }, null],
  ] as const)('%s: %j, %j', (end, ended, measured) => {
    expect(jobEndOf(ended, measured)).toBe(end);
  });
});

describe('what a job used', () => {
  const key = keyOf('1.s');
  const ran = (pool: Pool): Pool => {
    pool.pass(1_000);
    const lease = pool.ask(key);
    pool.boot();
    pool.stage(lease);
    return pool.pass(60_000);
  };
  const ended = (pool: Pool, exit: number | null = null): void => {
    const { worker, job, attempt } = key;
    pool.event({
      type: 'release',
      release: { worker, job, attempt, reason: 'done', holdFor: null, exit },
    });
  };
  const told = (pool: Pool) => pool.notes.map(jobLineOf).filter((line) => line !== null);
  const kinds = (pool: Pool): string[] => pool.work().map(({ kind }) => kind);

  it('is told once, when its VM was scrubbed, and the store keeps what is to be told until then', () => {
    const pool = ran(ready(1));
    const { name, spec } = pool.member();
    const at = pool.now;
    ended(pool, 0);
    expect(told(pool)).toEqual([]);
    const stored = JSON.stringify({ ...pool.book, installation: randomUUID() });
    expect(bookSchema.safeParse(JSON.parse(stored)).error).toBeUndefined();
    const scrubbed = (): unknown =>
      pool.pass(500).event({
        ...{ type: 'scrubbed', member: name, bootId: null },
        result: { ok: true, measured: used() },
      });
    scrubbed();
    expect(told(pool)).toEqual([
      {
        ...{ at, job: '1.s', user: 'u', vm: name, end: 'finished', exit: 0, processors: 1 },
        ...{ lease: leaseIdOf(key), queue: 'batch', worker: key.worker, flavor: spec.flavor },
        measured: { cpuSeconds: 30, memoryBytes: 2 ** 20, wallSeconds: 60 },
      },
    ]);
    scrubbed();
    expect(told(pool)).toHaveLength(1);
  });

  it('is asked for before a VM that is not used again goes, for some seconds', () => {
    const pool = ran(ready(1, {}, { reuse: 'never' }));
    const { name } = pool.member();
    ended(pool);
    expect(kinds(pool)).toContain('measure');
    expect(pool.work('converge')).toEqual([]);
    pool.event({ type: 'measured', member: name, lease: leaseIdOf(keyOf('2.s')), measured: used() });
    expect(told(pool)).toEqual([]);
    pool.event({ type: 'measured', member: name, lease: leaseIdOf(key), measured: used({ code: 5 }) });
    expect(told(pool)).toMatchObject([{ end: 'failed', exit: 5 }]);
    expect(kinds(pool)).not.toContain('measure');
    pool.pass(100);
    expect(kinds(pool)).toContain('converge');
  });

  it('is told as unknown when the VM went without an answer', () => {
    const pool = ran(ready(1, {}, { reuse: 'never' }));
    ended(pool);
    pool.pass(6_000);
    expect(kinds(pool)).toContain('converge');
    pool.end();
    pool.pass(1_000);
    expect(told(pool)).toMatchObject([{ end: 'unknown', measured: null }]);
  });

  it('is not waited for of a VM that is lost', () => {
    const pool = ran(ready(1, {}, { reuse: 'never' }));
    const { name } = pool.member();
    pool.list({ [name]: { status: 'SHUTOFF' } });
    ended(pool, 99);
    expect(kinds(pool)).not.toContain('measure');
    pool.end();
    pool.pass(1_000);
    expect(told(pool)).toMatchObject([{ end: 'vm-lost' }]);
  });
});
