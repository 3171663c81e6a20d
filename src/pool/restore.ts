import type { Book, Hold, Member } from './book.js';
import type { Millis } from './model.js';

const why = 'the store was put back from a copy: its marker is read before it is leased again';

/**
 * A book put back from an earlier copy may not know of leases given since. So no VM with a server is leased, scrubbed
 * or given up before its marker was read and every worker has said which jobs it has: each is held until then. VMs
 * that the copy does not know are held when the listing shows them; leases that have ended since end with the
 * workers' syncs. With `relearnKeys` their host keys are read from the console log again: a VM may have been rebuilt
 * since; without it the known ones stand. What the copy retires stays retired, because names are never used twice.
 */
export function distrust(book: Book, now: Millis, relearnKeys: boolean): Book {
  const hold = { kind: 'restored', why, at: now } as const;
  const members: Record<string, Member> = {};
  for (const member of Object.values(book.members))
    members[member.name] = distrusted(member, hold, relearnKeys);
  return { ...book, members, at: Math.max(book.at, now) };
}

function distrusted(member: Member, hold: Hold, relearnKeys: boolean): Member {
  const { state } = member;
  if (state.kind === 'Busy') return member;
  if (state.kind === 'Unusable' && (state.reason === 'deleting' || state.reason === 'held')) return member;
  // Not yet seen by Nova when the copy was made: it is built or welcomed as ever, and held if it bears a marker.
  if (member.server === null) return { ...member, hold };
  return {
    ...member,
    state: { kind: 'Unusable', reason: 'held', since: hold.at, detail: why },
    hold,
    hostKeys: relearnKeys ? [] : member.hostKeys,
  };
}
