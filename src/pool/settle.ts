import { isDeepStrictEqual } from 'node:util';
import type { Book, Context, Member, State } from './book.js';
import { entryAt } from './book.js';
import { createFailed } from './breaker.js';
import { censusOf } from './census.js';
import { explain } from './explain.js';
import { expireLeases, forgetEnded, grantAll } from './leases.js';
import { isUnseen, limitOf } from './limits.js';
import type { NoteSink } from './members.js';
import { spent } from './spent.js';
import { dropMember, moveMember, patchMember, placeOf, withBook } from './members.js';
import { resumed } from './operator.js';
import { decideMembers } from './planner.js';
import { rollUnderLoad, size, type Sizing } from './sizer.js';

/** A server that a lost create may still bring is waited for so long before its name is given up. */
const lateCreateMs = 30_000;
/** Names retired longer ago than this are forgotten: a server that turns up under one is then held, not deleted. */
const rememberRetiredMs = 24 * 3600 * 1000;
const forgetEveryMs = 10_000;

/** What follows from the mere passing of time and from everything that was seen: the same from whatever came before. */
export function settle(s: State, c: Context, note: NoteSink): State {
  let state = expireLeases(s, c, note);
  const { paused } = state.book;
  if (paused !== undefined && c.now >= paused.until)
    state = resumed(state, 'the time of the pause is over', c, note);
  const isPaused = state.book.paused !== undefined;
  for (const member of mayExpire(state.book)) state = expireMember(state, member, c, note);
  state = rested(forgetTheOld(state, c), c);
  if (!isPaused) state = retireAll(state, rollUnderLoad(state, c), c, note);
  state = grantAll(state, c, note);
  return isPaused ? state : sized(state, c, note);
}

/**
 * Until nothing more follows: a member that was made may leave no room, so that an old one goes for the next. It comes to
 * an end: none is made beyond `max`, and one that goes has gone.
 */
function sized(s: State, c: Context, note: NoteSink): State {
  const { create, retire, heldBack } = size(s, c);
  let state = retireAll(s, retire, c, note);
  // What says the same is no change: nobody is told, nothing is looked for.
  if (!isDeepStrictEqual(state.sight.heldBack, heldBack))
    state = { ...state, sight: { ...state.sight, heldBack } };
  state = decideMembers(state, create, c, note);
  return create.length + retire.length === 0 ? state : sized(state, c, note);
}

function retireAll(s: State, going: Sizing['retire'], c: Context, note: NoteSink): State {
  return going.reduce(
    (state, { name, why, reason }) =>
      moveMember(patchMember(state, name, { retire: why }), name, 'overdue', why, c, note, { ended: reason }),
    s,
  );
}

/** The pause that the cloud asked for is over. */
function rested(s: State, c: Context): State {
  const { restUntil } = s.sight;
  return restUntil === null || c.now < restUntil ? s : { ...s, sight: { ...s.sight, restUntil: null } };
}

/** The others are Busy, or Free and wanted: time alone changes nothing for them. */
function mayExpire(book: Book): Member[] {
  const { free, unusable } = censusOf(book);
  return [...free.filter((m) => m.retire !== null), ...unusable];
}

function expireMember(s: State, member: Member, c: Context, note: NoteSink): State {
  const { name } = member;
  const place = placeOf(member.state);
  const unlistedSince = entryAt(s.sight.unlisted, name);
  const unlistedFor = unlistedSince === undefined ? null : c.now - unlistedSince;
  if (place === 'deleting') {
    if (member.server !== null) return s;
    const gone = (state: State): State =>
      dropMember(spent(state, name, null, c, note), name, stateDetail(member), c, note);
    if (member.engine === 'dropped') return gone(s);
    const gaveUp = member.engine === 'stateless' && unlistedFor !== null && unlistedFor >= lateCreateMs;
    return gaveUp ? gone(s) : s;
  }
  if (place === 'Free' && member.retire !== null)
    return moveMember(s, name, 'overdue', member.retire, c, note, { ended: 'retired' });
  if (place === 'held') return explain(s, member, c, note);
  const late = unlistedFor !== null && unlistedFor >= lateCreateMs;
  if (place === 'building' && member.engine === 'stateless' && member.server === null && late) {
    const why = 'its create was lost with a killed engine and no server came of it';
    const ended = moveMember(s, name, 'createFailed', why, c, note);
    // Nothing of it is left to wait for: it goes in the same step.
    const going = ended.book.members.get(name);
    return going === undefined ? ended : expireMember(ended, going, c, note);
  }
  const limit = limitOf(member, c);
  if (limit === null || c.now - member.state.since <= limit || isUnseen(s, c)) return s;
  const last = entryAt(s.sight.silent, name)?.why ?? stateDetail(member);
  const why = `${place} for longer than ${limit / 1000} s: ${last}`;
  // What was decided just before a pause was never tried.
  const isTried = member.server !== null || s.book.paused === undefined;
  const state = place === 'building' && isTried ? createFailed(s, member.bornAt, why, c, note) : s;
  return moveMember(state, name, 'overdue', why, c, note);
}

function stateDetail(member: Member): string {
  return member.state.kind === 'Unusable' ? member.state.detail : member.state.kind;
}

/** Memories whose time is over: they may be thousands, and none is in a hurry. */
function forgetTheOld(s: State, c: Context): State {
  if (c.now - s.sight.forgotAt < forgetEveryMs) return s;
  const state = forgetRetired(forgetEnded(s, c), c);
  return { ...state, sight: { ...state.sight, forgotAt: c.now } };
}

function forgetRetired(s: State, c: Context): State {
  let { retired } = s.book;
  for (const [name, at] of retired) if (c.now - at > rememberRetiredMs) retired = retired.without(name);
  return retired === s.book.retired ? s : withBook(s, { retired });
}
