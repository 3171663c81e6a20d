import type { TableIndex } from '../table.js';
import type { Book, Member } from './book.js';

/** The members by what becomes of them, each list in the order of their `seq`. */
export interface Census {
  readonly busy: number;
  readonly free: readonly Member[];
  readonly unusable: readonly Member[];
  /** Bear a job's traces, or are held because nobody knows whether they do: they may keep a request waiting. */
  readonly tainted: readonly Member[];
}

/** A step looks at it several times and changes a member or two. */
const census: TableIndex<Member, Census> = {
  empty: { busy: 0, free: [], unusable: [], tainted: [] },
  changed: ({ busy, free, unusable, tainted }, before, after) => ({
    busy: busy - Number(before?.state.kind === 'Busy') + Number(after?.state.kind === 'Busy'),
    free: changedList(free, before, after, (m) => m.state.kind === 'Free'),
    unusable: changedList(unusable, before, after, (m) => m.state.kind === 'Unusable'),
    tainted: changedList(tainted, before, after, (m) => m.tenant !== null || m.hold !== null),
  }),
};

/** All that a step wants to know of the members. */
export function censusOf({ members }: Book): Census {
  return members.index(census);
}

/** `list`, whose members are those for which `belongs` holds, after one of them changed. */
function changedList(
  list: readonly Member[],
  before: Member | undefined,
  after: Member | undefined,
  belongs: (member: Member) => boolean,
): readonly Member[] {
  const old = before !== undefined && belongs(before) ? before : null;
  const now = after !== undefined && belongs(after) ? after : null;
  if (old === null && now === null) return list;
  const rest = old === null ? [...list] : list.toSpliced(list.indexOf(old), 1);
  if (now !== null) rest.splice(placeFor(rest, now), 0, now);
  return rest;
}

/** Behind all that are older. */
function placeFor(list: readonly Member[], member: Member): number {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((list[middle] as Member).seq <= member.seq) low = middle + 1;
    else high = middle;
  }
  return low;
}
