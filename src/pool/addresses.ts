import type { State } from './book.js';

/** What is known of a floating IP that a stack of ours has allocated. */
export interface AllocatedAddress {
  readonly id: string;
  /** The member that it was made for. */
  readonly member: string;
  readonly isAssociated: boolean;
}

/**
 * Those that nobody will ever use or release: they lead nowhere, and the member that they were made for is no more, or
 * has another one. An engine that was killed while one was allocated leaves such an address, which no stack knows; so
 * does Pulumi, which asks once more when the answer is lost. A member is in the book before its cell's update begins
 * and until its end; while there are cells that nobody has looked into, no address is lost.
 */
export function lostAddresses<A extends AllocatedAddress>(s: State, seen: readonly A[]): readonly A[] {
  if (s.sight.unexplored.length > 0) return [];
  const members: ReadonlySet<string> = new Set(s.book.members.keys());
  const served = new Set(seen.filter(({ isAssociated }) => isAssociated).map(({ member }) => member));
  return seen.filter(
    ({ member, isAssociated }) => !isAssociated && (served.has(member) || !members.has(member)),
  );
}
