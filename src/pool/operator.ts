import type { Context, Member, State } from './book.js';
import { entryAt, isDeleting, isUnexplained, isUnusable } from './book.js';
import type { NoteSink } from './members.js';
import { moveMember, patchMember } from './members.js';

export type OperatorOutcome =
  | { readonly kind: 'done'; readonly detail: string }
  | { readonly kind: 'refused'; readonly code: 'not-found' | 'conflict'; readonly detail: string };

interface Result {
  readonly state: State;
  readonly outcome: OperatorOutcome;
}

function refused(state: State, code: 'not-found' | 'conflict', detail: string): Result {
  return { state, outcome: { kind: 'refused', code, detail } };
}

function done(state: State, detail: string): Result {
  return { state, outcome: { kind: 'done', detail } };
}

/** Keeps a VM for a person to look at: now, or as soon as its job has ended. */
export function hold(s: State, name: string, why: string, c: Context, note: NoteSink): Result {
  const member = entryAt(s.book.members, name);
  if (member === undefined) return refused(s, 'not-found', `there is no VM ${name} in this pool`);
  if (isDeleting(member)) return refused(s, 'conflict', `${name} is being deleted`);
  if (isUnusable(member, 'held'))
    return refused(s, 'conflict', `${name} is held already: ${member.hold?.why ?? ''}`);
  const entry = { kind: 'operator', why, at: c.now } as const;
  const state = patchMember(s, member.name, { hold: entry });
  if (member.state.kind === 'Busy') {
    note({ at: c.now, kind: 'vm', member: name, detail: `will be held when its job ends: ${why}` });
    return done(state, `${name} is running a job and will be held when it ends`);
  }
  return done(moveMember(state, member.name, 'held', why, c, note), `${name} is held`);
}

/** Gives a held VM back: it is scrubbed and verified before it is Free again. */
export function unhold(s: State, name: string, c: Context, note: NoteSink): Result {
  const member = entryAt(s.book.members, name);
  if (member === undefined) return refused(s, 'not-found', `there is no VM ${name} in this pool`);
  if (member.state.kind === 'Busy' && member.hold !== null) {
    return done(patchMember(s, member.name, { hold: null }), `${name} will not be held when its job ends`);
  }
  if (!isUnusable(member, 'held')) return refused(s, 'conflict', `${name} is not held`);
  if (isMystery(member)) {
    // A job that the store does not know may run there: only what explains it, or a plain order to end it, moves it.
    return refused(
      s,
      'conflict',
      `${name} is held because it is not known whether a job runs there; it is given back by itself once its marker was ` +
        `read and every configured worker has synced. To end it and whatever runs on it: vmpool retire ${name}`,
    );
  }
  const state = patchMember(s, member.name, { hold: null });
  return done(
    moveMember(state, member.name, 'unheld', 'given back by an operator', c, note),
    `${name} goes to the scrub`,
  );
}

/** Held until it is explained, not until an operator gives it back. */
export function isMystery(member: Member): boolean {
  return isUnexplained(member) || member.hold?.kind === 'foreign-marker';
}

/** Retires a VM: now when Free, when its job ends when Busy. */
export function retire(s: State, name: string, why: string, c: Context, note: NoteSink): Result {
  const member = entryAt(s.book.members, name);
  if (member === undefined) return refused(s, 'not-found', `there is no VM ${name} in this pool`);
  if (isDeleting(member)) return done(s, `${name} is being deleted already`);
  const state = patchMember(s, member.name, { retire: why });
  if (member.state.kind === 'Busy') return done(state, `${name} is running a job and goes when it ends`);
  return done(moveMember(state, member.name, 'overdue', why, c, note), `${name} is being retired`);
}
