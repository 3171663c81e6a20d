import type { CellState, CellWish, FoundCell } from '../engine/port.js';
import type { CellSight, Context, State } from './book.js';
import { entryAt, isDeleting, isUnusable } from './book.js';
import { createFailed } from './breaker.js';
import type { NoteSink } from './members.js';
import { moveMember, patchMember, withBook } from './members.js';
import { adoptInstance } from './observe.js';
import type { CellName, MemberName, ServerId } from './model.js';
import { decided } from './reasons.js';

const idle: CellSight = { running: false, beganAt: 0, failures: 0, notBefore: 0, error: null };

export function cellSight(s: State, cell: CellName): CellSight {
  return entryAt(s.sight.cells, cell) ?? idle;
}

function putCell(s: State, cell: CellName, sight: CellSight): State {
  return { ...s, sight: { ...s.sight, cells: { ...s.sight.cells, [cell]: sight } } };
}

export function runBegan(s: State, cell: CellName, c: Context): State {
  return putCell(s, cell, { ...cellSight(s, cell), running: true, beganAt: c.now });
}

/** The event stream: this instance is in the state now. Its addresses come from Nova's own listing. */
export function created(s: State, name: MemberName, id: ServerId, c: Context, note: NoteSink): State {
  const member = s.book.members.get(name);
  if (member === undefined || member.engine !== 'planned') return s;
  note({ at: c.now, kind: 'engine', member: name, detail: `in its stack as server ${id}` });
  return patchMember(s, name, {
    engine: 'managed',
    server: member.server ?? { id, status: 'ACTIVE' },
  });
}

export function createDidFail(s: State, name: MemberName, why: string, c: Context, note: NoteSink): State {
  const member = s.book.members.get(name);
  if (member === undefined || isDeleting(member)) return s;
  // A VM that was leased before Pulumi's create returned keeps its job; it ends through Nova.
  if (member.state.kind === 'Busy' || member.state.kind === 'Free') {
    note({
      at: c.now,
      kind: 'engine',
      member: name,
      failure: 'create',
      detail: `create failed after the VM was in use: ${why}`,
    });
    return patchMember(s, name, { retire: `its create failed in Pulumi: ${why}` });
  }
  const state = createFailed(s, member.bornAt, why, c, note);
  return moveMember(state, name, 'createFailed', `could not be created: ${why}`, c, note);
}

export function removed(s: State, name: MemberName): State {
  const member = s.book.members.get(name);
  if (member === undefined || !isDeleting(member)) return s;
  return patchMember(s, name, { engine: 'dropped' });
}

/**
 * What the engine found on its own. After a lost or restored store there are cells that the book does not know, and
 * instances in others: their next run finds what they hold, which is then held like a server that only the cloud shows.
 * Nothing is dropped by it, because such an instance is on no list. After a torn state there are instances that the book
 * has retired, or nobody knows what there is: the next run puts an earlier state in its place, and finds them.
 */
export function cellsFound(s: State, found: readonly FoundCell[]): State {
  const isMember = (name: MemberName): boolean => s.book.members.get(name) !== undefined;
  const unexplored = found
    .filter(({ cell, instances }) => !s.book.cells.includes(cell) || instances?.every(isMember) !== true)
    .map(({ cell }) => cell);
  return { ...s, sight: { ...s.sight, unexplored } };
}

/** Cells of the book, then those that only the engine knows. */
export function cellsOf(s: State): readonly CellName[] {
  return [...s.book.cells, ...s.sight.unexplored.filter((cell) => !s.book.cells.includes(cell))];
}

/** What an earlier state of a cell, put back, still holds of names that are long retired: it is dropped once more. */
function withResurfaced(
  s: State,
  cell: CellName,
  names: readonly MemberName[],
  c: Context,
  note: NoteSink,
): State {
  const { [cell]: before = [], ...others } = s.sight.resurfaced;
  for (const name of names) {
    if (before.includes(name)) continue;
    const detail = `${cell} holds it again, although it was ended: it is dropped once more`;
    note({ at: c.now, kind: 'engine', member: name, ...decided('ended', 'resurfaced'), detail });
  }
  if (before.length === 0 && names.length === 0) return s;
  const resurfaced = names.length === 0 ? others : { ...others, [cell]: names };
  return { ...s, sight: { ...s.sight, resurfaced } };
}

/** Nobody knows what the stack holds now: it is run again, also when the book wants nothing of it. */
function unexplored(s: State, cell: CellName): State {
  if (s.sight.unexplored.includes(cell)) return s;
  return { ...s, sight: { ...s.sight, unexplored: [...s.sight.unexplored, cell] } };
}

function explored(s: State, cell: CellName): State {
  if (!s.sight.unexplored.includes(cell)) return s;
  const unexplored = s.sight.unexplored.filter((each) => each !== cell);
  const state = { ...s, sight: { ...s.sight, unexplored } };
  return s.book.cells.includes(cell) ? state : withBook(state, { cells: [...s.book.cells, cell] });
}

/** An `up` has ended: what its cell's state holds is now known. */
export function runEnded(
  s: State,
  wish: CellWish,
  result: { readonly ok: boolean; readonly state: CellState | null; readonly message: string | null },
  c: Context,
  note: NoteSink,
): State {
  const before = cellSight(s, wish.cell);
  let state = s;
  if (result.state !== null) {
    const held = new Map(result.state.instances.map((i) => [i.member, i.serverId]));
    const lost = new Set(result.state.lostCreates);
    for (const { name } of wish.members) {
      const id = held.get(name);
      if (id !== undefined) state = created(state, name, id, c, note);
      if (lost.has(name)) state = lostCreate(state, name, c, note);
    }
    for (const name of result.state.unlisted) {
      const id = held.get(name);
      if (id !== undefined) state = adoptInstance(state, wish.cell, name, id, c, note);
    }
    const resurfaced = [...held.keys()].filter((name) => s.book.retired.get(name) !== undefined);
    state = withResurfaced(state, wish.cell, resurfaced, c, note);
    for (const name of wish.retire) {
      if (lost.has(name)) state = lostCreate(state, name, c, note);
      else if (!held.has(name)) state = removed(state, name);
    }
    state = explored(state, wish.cell);
  } else {
    state = unexplored(state, wish.cell);
  }
  const { beganAt } = before;
  if (result.ok)
    return putCell(state, wish.cell, { running: false, beganAt, failures: 0, notBefore: 0, error: null });
  const failures = before.failures + 1;
  const pause = Math.min(120_000, 2_000 * 2 ** Math.min(failures - 1, 10));
  const error = result.message ?? 'failed without a message';
  note({ at: c.now, kind: 'cell', detail: `${wish.cell}: ${error}` });
  // Nothing at all could be done (no state to show for it): the cloud or the backend refuses. Cells that run side by
  // side and fail together are one failure, and a run that had nothing to create says nothing about creates.
  const creates = wish.members.some((m) => {
    const member = state.book.members.get(m.name);
    return member !== undefined && member.engine === 'planned' && isUnusable(member, 'building');
  });
  if (result.state === null && creates) state = createFailed(state, beganAt, error, c, note);
  return putCell(state, wish.cell, { running: false, beganAt, failures, notBefore: c.now + pause, error });
}

function lostCreate(s: State, name: MemberName, c: Context, note: NoteSink): State {
  const member = s.book.members.get(name);
  if (member === undefined || member.engine === 'stateless') return s;
  note({
    at: c.now,
    kind: 'engine',
    member: name,
    detail: 'its create was lost with a killed engine; it ends through Nova',
  });
  return patchMember(s, name, { engine: 'stateless' });
}
