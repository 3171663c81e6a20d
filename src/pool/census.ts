import type { Table } from '../table.js';
import type { Book, Member } from './book.js';

/** The members by what becomes of them, each list in the table's order. */
export interface Census {
  readonly busy: number;
  readonly free: readonly Member[];
  readonly unusable: readonly Member[];
  /** Bear a job's traces, or are held because nobody knows whether they do: they may keep a request waiting. */
  readonly tainted: readonly Member[];
}

/** A version of the members never changes, and a step looks at it many times. */
const taken = new WeakMap<Table<Member>, Census>();

/** One walk through the members for all that a step wants to know of them. */
export function censusOf({ members }: Book): Census {
  const before = taken.get(members);
  if (before !== undefined) return before;
  let busy = 0;
  const free: Member[] = [];
  const unusable: Member[] = [];
  const tainted: Member[] = [];
  for (const member of members.values()) {
    const { kind } = member.state;
    if (kind === 'Free') free.push(member);
    else if (kind === 'Busy') busy += 1;
    else unusable.push(member);
    if (member.tenant !== null || member.hold !== null) tainted.push(member);
  }
  const census = { busy, free, unusable, tainted };
  taken.set(members, census);
  return census;
}
