import type { Book, Member } from './book.js';
import type { Millis } from './model.js';

const why = 'the store was put back from a copy: its marker is read before it is leased again';

/**
 * A book put back from an earlier copy may not know of leases given since. So no VM with a server is leased, scrubbed
 * or given up before its marker was read and every worker has said which jobs it has: each is held until then. VMs
 * that the copy does not know are held when the listing shows them; leases that have ended since end with the
 * workers' syncs; what the copy retires stays retired, because names are never used twice.
 */
export function distrust(book: Book, now: Millis): Book {
  const members: Record<string, Member> = {};
  for (const member of Object.values(book.members)) {
    const { state } = member;
    const keeps =
      state.kind === 'Busy' ||
      member.server === null ||
      (state.kind === 'Unusable' && (state.reason === 'deleting' || state.reason === 'held'));
    members[member.name] = keeps
      ? member
      : {
          ...member,
          state: { kind: 'Unusable', reason: 'held', since: now, detail: why },
          hold: { kind: 'restored', why, at: now },
        };
  }
  return { ...book, members, at: Math.max(book.at, now) };
}
