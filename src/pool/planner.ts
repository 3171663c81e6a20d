import type { CellWish } from '../engine/port.js';
import type { Context, Member, State } from './book.js';
import { entryAt, isDeleting, isUnusable, membersOf } from './book.js';
import { cellSight } from './engine-events.js';
import type { NoteSink } from './members.js';
import { putMember, withBook } from './members.js';
import type { CellName, MemberName, Millis } from './model.js';
import { decided } from './reasons.js';
import type { Wanted } from './sizer.js';
import { isBeingAsked } from './spent.js';

/** Nova's default quotas (`server_group_members`, `server_groups`): a group for each cell has to fit in them. */
const groupMembersQuota = 10;
const groupsQuota = 10;

/**
 * Decides the wanted members and the cells that hold them. A cell whose `up` is running is locked for some
 * ten seconds and more, so new members go to idle cells with room, and to a new cell when there is none.
 */
export function decideMembers(s: State, wanted: readonly Wanted[], c: Context, note: NoteSink): State {
  const shape = s.book.shape;
  if (shape === null || wanted.length === 0) return s;
  let state = s;
  const load = new Map<CellName, number>();
  for (const cell of s.book.cells) load.set(cell, 0);
  for (const member of membersOf(s.book)) load.set(member.cell, (load.get(member.cell) ?? 0) + 1);
  const grouped = shape.spec.serverGroupPolicy !== null;
  const toCome = notBegun(s);
  const size = cellSizeFor(toCome.length + wanted.length, c);
  const most = grouped ? Math.min(size, groupMembersQuota) : size;
  const hasRoom = (cell: CellName): boolean => (load.get(cell) ?? 0) < most;
  const waits = new Set(toCome.map((m) => m.cell));
  // Those whose run has yet to begin come first: when as many cells run as may, each further run has to take along what it can.
  const usable = s.book.cells
    .filter((cell) => {
      const sight = cellSight(s, cell);
      return !sight.running && sight.notBefore <= c.now && hasRoom(cell);
    })
    .sort((a, b) => Number(waits.has(b)) - Number(waits.has(a)));
  for (const { reason, detail, request } of wanted) {
    let cell = usable.find(hasRoom);
    // One more cell is one more server group: where the usual quota of those is reached, a running cell is waited for.
    if (cell === undefined && grouped && state.book.cells.length >= groupsQuota)
      cell = state.book.cells.find(hasRoom);
    if (cell === undefined) {
      cell = newCell(state);
      usable.push(cell);
      state = withBook(state, { cells: [...state.book.cells, cell] });
    }
    load.set(cell, (load.get(cell) ?? 0) + 1);
    const seq = state.book.seq + 1;
    const name = `${state.book.pool}-${String(seq).padStart(4, '0')}-${c.suffix()}` as MemberName;
    const member: Member = {
      name,
      cell,
      seq,
      bornAt: c.now,
      made: { reason, detail },
      generation: shape.generation,
      spec: { ...shape.spec, availabilityZones: zoneFor(state, shape.spec.availabilityZones) },
      state: { kind: 'Unusable', reason: 'building', since: c.now, detail: 'decided, not yet seen by Nova' },
      engine: 'planned',
      server: null,
      endpoint: null,
      hostKeys: [],
      bootId: null,
      tenant: null,
      retire: null,
      hold: null,
    };
    state = putMember(withBook(state, { seq }), member);
    note({
      at: c.now,
      kind: 'vm',
      member: name,
      ...(request === undefined ? {} : { lease: request.id, job: request.key.job, user: request.user.name }),
      ...decided('made', reason),
      detail: `decided: ${detail}; cell ${cell}, generation ${shape.generation}`,
    });
  }
  return state;
}

/** Members whose cell's run has yet to begin. */
const notBegun = (s: State): readonly Member[] =>
  membersOf(s.book).filter(
    (m) => isUnusable(m, 'building') && m.engine === 'planned' && !cellSight(s, m.cell).running,
  );

/** Cells are brought up some at a time, and each run takes ten seconds and more however much is in it. */
const cellsAtOnce = 4;

/**
 * How many members a cell may have while `count` are to be made. A cell's size is the price of every later change in it,
 * and what one server that hangs holds up; but two hundred members in cells of eight are six runs, one after the other.
 */
function cellSizeFor(count: number, { policy }: Context): number {
  const { cellSize, bulkCellSize } = policy;
  return Math.max(cellSize, Math.min(bulkCellSize, Math.ceil(count / cellsAtOnce)));
}

/**
 * The zone with the fewest members. After failed creates the next one in that order: a zone without room must not
 * hold up the others.
 */
function zoneFor(s: State, zones: readonly string[]): readonly string[] {
  if (zones.length < 2) return zones;
  const load = new Map(zones.map((zone) => [zone, 0]));
  for (const { spec } of membersOf(s.book)) {
    const [zone] = spec.availabilityZones;
    if (zone !== undefined && spec.availabilityZones.length === 1 && load.has(zone))
      load.set(zone, (load.get(zone) ?? 0) + 1);
  }
  const order = [...zones].sort((a, b) => (load.get(a) ?? 0) - (load.get(b) ?? 0));
  const chosen = order[s.book.breaker.failures % order.length];
  return chosen === undefined ? [] : [chosen];
}

/** Small numbers first: a cell that became empty is used again before a new one is made. */
function newCell(s: State): CellName {
  const taken = new Set<string>(s.book.cells);
  for (let n = 1; ; n += 1) {
    const name = `c${String(n).padStart(3, '0')}`;
    if (!taken.has(name)) return name as CellName;
  }
}

/** Is it for Pulumi to drop it from its cell's state? */
export function mayBeInState(member: Member): boolean {
  return member.engine === 'planned' || member.engine === 'managed' || member.engine === 'adopted';
}

/** The wish for one cell, as the book durably says. Adopted members are on no list until they go: nothing is known of their spec. */
export function wishOf(s: State, cell: CellName): CellWish {
  const members = membersOf(s.book)
    .filter((m) => m.cell === cell && mayBeInState(m))
    .sort((a, b) => a.seq - b.seq);
  return {
    cell,
    members: members
      .filter((m) => !isDeleting(m) && m.engine !== 'adopted')
      .map(({ name, generation, spec, server, engine }) => ({
        name,
        generation,
        spec,
        made: server !== null || engine === 'managed',
      })),
    retire: [...members.filter(isDeleting).map((m) => m.name), ...resurfacedIn(s, cell)],
  };
}

/** Names in a cell's state that were ended: they are dropped once more. */
export const resurfacedIn = (s: State, cell: CellName): readonly MemberName[] =>
  (entryAt(s.sight.resurfaced, cell) ?? []).filter((name) => s.book.retired.get(name) !== undefined);

interface Due {
  /** 0: somebody may wait for it. */
  readonly rank: 0 | 1;
  /** For so long. */
  readonly since: Millis;
}

/** Requests come in bursts (arrays): a cell's run waits so long for the rest of the burst before it locks the cell. */
export const gatherMs = 50;

/**
 * Cells whose stack differs from the book, and that may be run now; those that somebody waits for come first, and of them
 * those that have waited longest.
 */
export function cellsDue(s: State, c: Context): CellName[] {
  const due = new Map<CellName, Due>();
  const add = (cell: CellName, rank: Due['rank'], since: Millis): void => {
    const known = due.get(cell) ?? { rank, since };
    if (rank < known.rank) due.set(cell, { rank, since });
    else due.set(cell, rank > known.rank ? known : { rank, since: Math.min(since, known.since) });
  };
  for (const member of membersOf(s.book)) {
    const deleting = isDeleting(member);
    const differs = deleting
      ? mayBeInState(member)
      : member.engine === 'planned' && member.state.kind === 'Unusable' && member.state.reason === 'building';
    if (!differs || member.cell === '') continue;
    if (deleting ? isBeingAsked(member, c.now) : c.now - member.bornAt < gatherMs) continue;
    const sight = cellSight(s, member.cell);
    if (sight.running || sight.notBefore > c.now) continue;
    if (deleting) add(member.cell, 1, member.state.since);
    else add(member.cell, 0, member.bornAt);
  }
  const again = s.book.cells.filter((cell) => resurfacedIn(s, cell).length > 0);
  for (const cell of [...s.sight.unexplored, ...again]) {
    const sight = cellSight(s, cell);
    if (!sight.running && sight.notBefore <= c.now) add(cell, 1, c.now);
  }
  return [...due.entries()]
    .sort(([a, x], [b, y]) => x.rank - y.rank || x.since - y.since || (a < b ? -1 : 1))
    .map(([cell]) => cell);
}
