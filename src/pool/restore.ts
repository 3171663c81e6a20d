import type { Table } from '../table.js';
import type { Book, Hold, Lease, Member } from './book.js';
import { isUnexplained } from './book.js';
import type { Millis } from './model.js';

const why = 'the store was put back from a copy: its marker is read before it is leased again';

/**
 * A book put back from an earlier copy may not know of leases given since. So no VM with a server is leased, scrubbed
 * or given up before its marker was read and every worker has said which jobs it has: each is held until then. A VM
 * that the copy shows as Busy stays so, and is held after its job unless its marker says that it is still that job's:
 * another job may have followed on it. VMs that the copy does not know are held when the listing shows them; leases
 * that have ended since end with the workers' syncs. With `relearnKeys` their host keys are read from the console log
 * again: a VM may have been rebuilt since; without it the known ones stand. What the copy retires stays retired,
 * because names are never used twice.
 *
 * A lease for which nothing was ready yet goes back into the line: its VM may have failed it since, and another one
 * serves it. Requests of the copy wait until no VM is left that might be theirs already (see `blockedBy`).
 */
export function distrust(book: Book, now: Millis, relearnKeys: boolean): Book {
  let { members, leases, requests } = book;
  for (const [id, lease] of book.leases.entries()) {
    if (lease.ready) continue;
    leases = leases.without(id);
    requests = requests.with(id, lease.request);
  }
  for (const member of book.members.values())
    members = members.with(member.name, distrusted(member, now, relearnKeys, leases));
  return { ...book, members, leases, requests, at: Math.max(book.at, now) };
}

function distrusted(member: Member, now: Millis, relearnKeys: boolean, leases: Table<Lease>): Member {
  const { state } = member;
  if (state.kind === 'Unusable' && state.reason === 'deleting') return member;
  const hold = holdOf(member, now);
  if (state.kind === 'Busy' && leases.has(state.lease)) return { ...member, hold };
  // Not yet seen by Nova when the copy was made: it is built or welcomed as ever, and held if it was made before now.
  if (member.server === null) {
    return state.kind === 'Unusable'
      ? { ...member, state: { ...state, since: now }, hold }
      : { ...member, hold };
  }
  return {
    ...member,
    state: { kind: 'Unusable', reason: 'held', since: now, detail: hold.why },
    hold,
    hostKeys: relearnKeys ? [] : member.hostKeys,
  };
}

/** What it was held for already comes back when it is explained, unless another job has been there since. */
function holdOf(member: Member, now: Millis): Hold {
  const { hold } = member;
  if (hold !== null && isUnexplained(member)) return { ...hold, at: now };
  return { kind: 'restored', why, at: now, ...(hold === null ? {} : { before: hold }) };
}
