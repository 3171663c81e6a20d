import { describe, expect, it } from '@jest/globals';
import type { Book, Member } from '../../../src/pool/book.js';
import type { MemberName } from '../../../src/pool/model.js';
import { distrust } from '../../../src/pool/restore.js';
import { keyOf, Pool, ready, shapeOf } from './fixture.js';

const later = 2_000_000_000;
const doubt = {
  kind: 'restored',
  why: 'the store was put back from a copy: its marker is read before it is leased again',
  at: later,
};

const memberIn = (book: Book, name: MemberName): Member => {
  const found = book.members.get(name);
  if (found === undefined) throw new Error(`${name} is gone`);
  return found;
};
const doubted = (pool: Pool, name: MemberName, relearnKeys = true): Member =>
  memberIn(distrust(pool.book, later, relearnKeys), name);

describe('a book put back from an earlier copy', () => {
  it('never makes pool time run back', () => {
    const pool = ready(1);
    expect(distrust(pool.book, later, true).at).toBe(later);
    expect(distrust(pool.book, pool.book.at - 1, true).at).toBe(pool.book.at);
  });

  it('holds a Free VM, and reads its host keys anew only where they are read at all', () => {
    const pool = ready(1);
    const member = pool.member();
    const state = { kind: 'Unusable', reason: 'held', since: later, detail: doubt.why };
    expect(doubted(pool, member.name)).toEqual({ ...member, state, hold: doubt, hostKeys: [] });
    expect(doubted(pool, member.name, false)).toEqual({ ...member, state, hold: doubt });
    expect(member.hostKeys).not.toEqual([]);
  });

  it('lets a VM that is on its way out go on', () => {
    const pool = ready(1);
    const { name } = pool.member();
    pool.event({ type: 'retire', member: name, why: 'told so' });
    expect(doubted(pool, name)).toEqual(pool.member());
  });

  it('gives a VM that Nova has not shown yet its whole time to come up', () => {
    const pool = new Pool(shapeOf({ min: 1 }));
    pool.pass(1_000);
    const member = pool.member();
    expect(doubted(pool, member.name)).toEqual({
      ...member,
      state: { ...member.state, since: later },
      hold: doubt,
    });
  });

  it('keeps a Busy VM with its lease, with a doubt; one whose job has not begun is held, its job back in line', () => {
    const pool = ready(2, { max: 2 });
    const begun = pool.ask(keyOf('1'));
    pool.stage(begun);
    const notBegun = pool.ask(keyOf('2'));
    const book = distrust(pool.book, later, true);
    const at = (lease: string): MemberName => {
      const found = pool.members().find(({ state }) => state.kind === 'Busy' && state.lease === lease);
      if (found === undefined) throw new Error(`no VM has ${lease}`);
      return found.name;
    };
    expect(memberIn(book, at(begun))).toEqual({ ...memberIn(pool.book, at(begun)), hold: doubt });
    expect(book.leases.keys()).toEqual([begun]);
    expect(memberIn(book, at(notBegun)).state).toMatchObject({ kind: 'Unusable', reason: 'held' });
    expect(book.requests.get(notBegun)).toEqual(pool.book.leases.get(notBegun)?.request);
  });

  it('remembers what an operator held a VM for', () => {
    const pool = ready(1);
    const { name } = pool.member();
    pool.event({ type: 'hold', member: name, why: 'looked at' });
    expect(doubted(pool, name).hold).toEqual({ ...doubt, before: pool.member().hold });
  });

  it('put back once more asks the same again, and no more', () => {
    const pool = ready(1);
    const { name } = pool.member();
    pool.state = { ...pool.state, book: distrust(pool.book, later - 1, true) };
    expect(doubted(pool, name).hold).toEqual(doubt);
  });
});
