import type { Context, Hold, Member, State } from './book.js';
import { isDeleting, isUnexplained, isUnusable } from './book.js';
import { endLive } from './leases.js';
import type { NoteSink } from './members.js';
import { moveMember, patchMember, withBook } from './members.js';
import type { Millis } from './model.js';

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

/**
 * Keeps a VM for a person to look at: now, or as soon as its job has ended. Held for longer than `limitMs` it is given
 * back by itself; null waits for the person.
 */
export function hold(
  s: State,
  name: string,
  why: string,
  limitMs: Millis | null,
  c: Context,
  note: NoteSink,
): Result {
  const member = s.book.members.get(name);
  if (member === undefined) return refused(s, 'not-found', `there is no VM ${name} in this pool`);
  if (isDeleting(member)) return refused(s, 'conflict', `${name} is being deleted`);
  if (isUnusable(member, 'held'))
    return refused(s, 'conflict', `${name} is held already: ${member.hold?.why ?? ''}`);
  const entry: Hold = { kind: 'operator', why, at: c.now, ...(limitMs === null ? {} : { limitMs }) };
  // Whose job is on a VM that a copy of the store tells of comes first: the order stands once that is known.
  const doubt = member.hold?.kind === 'restored' ? member.hold : null;
  const state = patchMember(s, member.name, { hold: doubt === null ? entry : { ...doubt, before: entry } });
  if (member.state.kind === 'Busy') {
    note({ at: c.now, kind: 'vm', member: name, detail: `will be held when its job ends: ${why}` });
    return done(state, `${name} is running a job and will be held when it ends`);
  }
  return done(moveMember(state, member.name, 'held', why, c, note), `${name} is held`);
}

/** Keeps further jobs from a VM: what runs there ends, it is cleaned, and held as clean as that. */
export function drain(s: State, name: string, why: string, c: Context, note: NoteSink): Result {
  const member = s.book.members.get(name);
  if (member === undefined) return refused(s, 'not-found', `there is no VM ${name} in this pool`);
  if (isDeleting(member)) return refused(s, 'conflict', `${name} is being deleted`);
  if (member.hold !== null)
    return refused(s, 'conflict', `${name} is ${heldWord(member)} already: ${member.hold.why}`);
  const state = patchMember(s, member.name, { hold: { kind: 'drain', why, at: c.now } });
  if (member.state.kind === 'Free')
    return done(moveMember(state, member.name, 'held', why, c, note), `${name} is drained`);
  note({ at: c.now, kind: 'vm', member: name, detail: `will be drained: ${why}` });
  return done(
    state,
    member.state.kind === 'Busy'
      ? `${name} runs a job and gets no other; it is drained when that has ended and it is clean`
      : `${name} gets no job; it is drained as soon as it is clean`,
  );
}

function heldWord(member: Member): string {
  const verb = member.hold?.kind === 'drain' ? 'drained' : 'held';
  return isUnusable(member, 'held') ? verb : `to be ${verb}`;
}

/** Gives a held or drained VM back: it is scrubbed and verified before it is Free again. */
export function unhold(s: State, name: string, c: Context, note: NoteSink): Result {
  const member = s.book.members.get(name);
  if (member === undefined) return refused(s, 'not-found', `there is no VM ${name} in this pool`);
  if (member.hold?.before !== undefined && member.hold.before.kind !== 'foreign-marker') {
    return done(
      patchMember(s, member.name, { hold: { ...member.hold, before: undefined } }),
      `${name} will not be held for that any more, once its marker was read and every configured worker has synced`,
    );
  }
  const isHeld = isUnusable(member, 'held');
  const isComing = member.state.kind === 'Busy' || member.hold?.kind === 'drain';
  if (!isHeld && (member.hold === null || !isComing)) return refused(s, 'conflict', `${name} is not held`);
  if (isUnexplained(member) || (isHeld && isMystery(member))) {
    // A job that the store does not know may run there: only what explains it, or a plain order to end it, moves it.
    return refused(
      s,
      'conflict',
      `${name} is held because it is not known whether a job runs there; it is given back by itself once its marker was ` +
        `read and every configured worker has synced. To end it and whatever runs on it: vmpool retire ${name}`,
    );
  }
  const state = patchMember(s, member.name, { hold: null });
  if (!isHeld) {
    const isDrain = member.hold?.kind === 'drain';
    return done(state, isDrain ? `${name} gets jobs again` : `${name} will not be held when its job ends`);
  }
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
  const member = s.book.members.get(name);
  if (member === undefined) return refused(s, 'not-found', `there is no VM ${name} in this pool`);
  if (isDeleting(member)) return done(s, `${name} is being deleted already`);
  const state = patchMember(s, member.name, { retire: why });
  if (member.state.kind === 'Busy') return done(state, `${name} is running a job and goes when it ends`);
  const gone = moveMember(state, member.name, 'overdue', why, c, note, { ended: 'retired' });
  return done(gone, `${name} is being retired`);
}

/** Ends a VM now, and the job on it with it: for what cannot wait until the job has ended. */
export function kill(s: State, name: string, why: string, c: Context, note: NoteSink): Result {
  const member = s.book.members.get(name);
  if (member === undefined) return refused(s, 'not-found', `there is no VM ${name} in this pool`);
  if (isDeleting(member)) return done(s, `${name} is being deleted already`);
  let state = patchMember(s, member.name, { retire: why, hold: null });
  const lease = member.state.kind === 'Busy' ? s.book.leases.get(member.state.lease) : undefined;
  if (lease !== undefined)
    state = endLive(
      state,
      { request: lease.request, lease },
      `its VM was killed by an operator: ${why}`,
      c,
      note,
    );
  state = moveMember(state, member.name, 'overdue', why, c, note, { ended: 'killed' });
  const job = lease === undefined ? '' : `, and job ${lease.request.key.job} with it`;
  return done(state, `${name} is being deleted${job}`);
}

/** From now on nothing is changed in the cloud, for so long at most. Said again, it begins anew. */
export function pause(s: State, why: string, forMs: Millis, c: Context, note: NoteSink): Result {
  const paused = { why, since: c.now, until: c.now + forMs };
  note({ at: c.now, kind: 'pause', detail: `changes of the cloud are paused for ${forMs / 1000} s: ${why}` });
  const running = Object.values(s.sight.cells).filter((cell) => cell.running).length;
  const still = running === 0 ? '' : `; ${running} updates that run already go on to their end`;
  return done(
    withBook(s, { paused }),
    `changes are paused until ${new Date(paused.until).toISOString()}${still}`,
  );
}

export function resume(s: State, c: Context, note: NoteSink): Result {
  if (s.book.paused === undefined) return done(s, 'changes are not paused');
  return done(resumed(s, 'by an operator', c, note), 'changes go on');
}

/** Also when its time is over. */
export function resumed(s: State, why: string, c: Context, note: NoteSink): State {
  note({ at: c.now, kind: 'pause', detail: `changes of the cloud go on: ${why}` });
  return withBook(s, { paused: undefined });
}
