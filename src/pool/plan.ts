import type { PlanView, PlannedCell, PlannedMember } from '../http/plan-api.js';
import type { Context, Member, State } from './book.js';
import { isDeleting, isUnusable, membersOf } from './book.js';
import { holdsBack } from './breaker.js';
import { cellSight, cellsOf } from './engine-events.js';
import { withBook } from './members.js';
import type { Millis } from './model.js';
import { strayWhy } from './observe.js';
import { mayBeInState, resurfacedIn } from './planner.js';
import { quotaObjection } from './quota.js';
import { settle } from './settle.js';
import { stackOf } from './views.js';

const iso = (at: Millis): string => new Date(at).toISOString();

/**
 * What is still to be done in the cloud, and why: what was decided and is not done yet, and, while changes are paused,
 * what would be decided if they went on now. Nothing is decided by asking.
 */
export function planOf(s: State, c: Context): PlanView {
  // Without a name nobody can take what is not decided for what is.
  const unnamed: Context = { ...c, suffix: () => '????' };
  const after = settle(withBook(s, { paused: undefined }), unnamed, () => undefined);
  const { pool, paused } = s.book;
  const inNoCell = membersOf(after.book).some((m) => m.cell === '' && isDeleting(m));
  return {
    now: iso(c.now),
    pools: [
      {
        name: pool,
        paused: paused === undefined ? null : { why: paused.why, until: iso(paused.until) },
        noCreates: noCreates(after, c),
      },
    ],
    cells: [...cellsOf(after), ...(inNoCell ? [''] : [])].map((cell) => cellPlan(s, after, cell, c)),
    strays: Object.values(after.book.strays).flatMap(({ server, name }) => {
      const why = strayWhy(after, server);
      return why === null ? [] : [{ server, vm: name, why }];
    }),
  };
}

function cellPlan(before: State, after: State, cell: string, c: Context): PlannedCell {
  const inCell = membersOf(after.book).filter((member) => member.cell === cell);
  const name = cell as Member['cell'];
  const sight = cellSight(after, name);
  const again = resurfacedIn(after, name).map((vm): PlannedMember => ({
    ...{ vm, order: 'delete', by: 'stack', decided: true },
    why: "it was ended, and an earlier copy of its stack's state has it again",
  }));
  return {
    name: cell,
    stack: cell === '' ? null : stackOf(after.book.pool, cell),
    running: sight.running,
    nextTry: !sight.running && sight.notBefore > c.now ? iso(sight.notBefore) : null,
    lastError: sight.error,
    looks: after.sight.unexplored.includes(name),
    members: [...inCell.toSorted((a, b) => a.seq - b.seq).flatMap((m) => memberPlan(before, m)), ...again],
  };
}

function memberPlan(before: State, member: Member): PlannedMember[] {
  const was = before.book.members.get(member.name);
  if (member.state.kind === 'Unusable' && isDeleting(member)) {
    const by = mayBeInState(member) ? 'stack' : 'cloud';
    const decided = was !== undefined && isDeleting(was);
    return [{ vm: member.name, order: 'delete', by, decided, why: member.state.detail }];
  }
  if (member.engine !== 'planned' || !isUnusable(member, 'building')) return [];
  const why = member.made?.detail ?? 'decided by an earlier version, which kept no reason';
  return [
    {
      vm: was === undefined ? null : member.name,
      order: 'create',
      by: 'stack',
      decided: was !== undefined,
      why,
    },
  ];
}

/** Why fewer VMs are made than are wanted, or none. */
function noCreates(s: State, c: Context): string | null {
  const { heldBack, restUntil } = s.sight;
  if (restUntil !== null) return `the cloud asked for a pause until ${iso(restUntil)}`;
  const { failures, until, why } = s.book.breaker;
  if (failures > 0 && holdsBack(s, c.now)) {
    const next = until > c.now ? `the next try is at ${iso(until)}` : 'one is being tried';
    return `${failures} creates in a row have failed, ${next}: ${why ?? ''}`;
  }
  return heldBack === null ? null : quotaObjection(heldBack);
}
