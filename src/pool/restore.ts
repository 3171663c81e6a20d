import type { Book, Member } from './book.js';
import type { Millis } from './model.js';

/**
 * A book put back from an earlier copy may not know of leases given since. So no VM that it calls Free (or clean)
 * is leased before its marker was read: each is unreachable until a probe finds what the book expects. VMs it does
 * not know are held when the listing shows them; leases that have ended since end with the workers' syncs.
 */
export function distrust(book: Book, now: Millis): Book {
  const members: Record<string, Member> = {};
  for (const member of Object.values(book.members)) {
    members[member.name] =
      member.state.kind === 'Free'
        ? {
            ...member,
            state: {
              kind: 'Unusable',
              reason: 'unreachable',
              since: now,
              detail: 'the store was put back from a copy; looked at before it is leased again',
            },
          }
        : member;
  }
  return { ...book, members, at: Math.max(book.at, now) };
}
