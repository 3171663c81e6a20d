import { identityKeys } from '../cloud/port.js';
import type { Difference, Facts, StackFacts } from './facts.js';

/** Stacks whose state, or whose list of lost creates, cannot be read: their cell stands still until that is put right. */
export const stackDifferences = (facts: Facts): readonly Difference[] =>
  facts.stacks.flatMap((stack) => [...brokenState(stack), ...damagedList(stack, facts)]);

const brokenState = ({ stack, broken }: StackFacts): readonly Difference[] => {
  if (broken === null) return [];
  const what = `the state of stack ${stack} cannot be read: ${broken.why}`;
  if (broken.torn) {
    return [
      {
        who: 'itself',
        about: stack,
        what,
        next: 'the newest whole copy that Pulumi left takes its place; VMs made after it run on, and end through Nova after their jobs',
      },
    ];
  }
  return [
    {
      who: 'operator',
      about: stack,
      what,
      next:
        'its cell stands still, its VMs run on. Put back a copy of the state that your backend keeps, or that of a backup (stop the service, vmpool restore FILE)' +
        (broken.path === null ? '' : `, unless a newer Pulumi than the service's wrote ${broken.path}`),
    },
  ];
};

/** What the cloud has of that cell and the state has not is what was lost: only a whole listing can say. */
const damagedList = (stack: StackFacts, facts: Facts): readonly Difference[] => {
  if (stack.lost !== null) return [];
  const what = `the list of lost creates of stack ${stack.stack} cannot be read: ${stack.lostPath}`;
  if (facts.cloud.kind !== 'listed' || !facts.cloud.complete || stack.broken !== null) {
    return [
      {
        who: 'operator',
        about: stack.stack,
        what,
        next: 'its cell stands still. Run vmpool doctor again when the cloud can be listed and the state of the stack be read',
      },
    ];
  }
  const held = new Set<string>(stack.instances.map(({ member }) => member));
  const names = facts.cloud.servers.flatMap(({ metadata }) => {
    const member = metadata[identityKeys.member];
    const ours =
      metadata[identityKeys.cell] === stack.cell &&
      metadata[identityKeys.installation] ===
        (facts.book.kind === 'read' ? facts.book.book.installation : facts.installation);
    return ours && member !== undefined && !held.has(member) ? [member] : [];
  });
  const unique = [...new Set(names)].sort();
  return [
    {
      who: 'repair',
      about: stack.stack,
      what,
      next: `it is written anew from what the cloud has of this cell and the state has not: ${unique.length === 0 ? 'nothing' : unique.join(', ')}`,
      repair: { kind: 'lost-list', stack: stack.stack, path: stack.lostPath, names: unique },
    },
  ];
};
