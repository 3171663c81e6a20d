import { identityKeys } from '../cloud/port.js';
import type { Difference, Facts } from './facts.js';

const mostNamed = 5;

/** The first few by name, the rest by number. */
export const some = (names: readonly string[]): string =>
  names.length <= mostNamed
    ? names.join(', ')
    : `${names.slice(0, mostNamed).join(', ')} and ${String(names.length - mostNamed)} more`;

/** The state directory: can it be used, and whose is it? */
export const storeDifferences = (facts: Facts): readonly Difference[] => [
  ...facts.openFiles.map(({ path, mode, wanted }): Difference => ({
    who: 'repair',
    about: 'store',
    what: `${path} is open to other users (mode ${mode.toString(8).padStart(4, '0')})`,
    next: `its mode becomes ${wanted.toString(8).padStart(4, '0')}`,
    repair: { kind: 'mode', path, mode: wanted },
  })),
  ...bookDifferences(facts),
  ...installationDifferences(facts),
];

const bookDifferences = ({ book }: Facts): readonly Difference[] => {
  if (book.kind !== 'unusable') return [];
  const [copy] = book.copies;
  if (book.running || copy === undefined) {
    return [
      {
        who: 'operator',
        about: 'store',
        what: `the book cannot be read: ${book.why}`,
        next: book.running
          ? 'the service that runs still has it in memory: stop it only after its next commit has written it again (any request makes one)'
          : 'no earlier copy is whole: put a backup back (vmpool restore FILE), or start from what the cloud has (vmpool recover --from-cloud)',
      },
    ];
  }
  return [
    {
      who: 'repair',
      about: 'store',
      what: `the book cannot be read: ${book.why}`,
      next: `${copy} is put back; what happened since is held until it is explained. A newer backup, if you have one, is better: vmpool restore FILE`,
      repair: { kind: 'book-from-copy' },
    },
  ];
};

const installationDifferences = ({
  pool,
  stateDir,
  installation,
  book,
  cloud,
}: Facts): readonly Difference[] => {
  const own = book.kind === 'read' ? book.book.installation : null;
  const found: Difference[] = [];
  if (installation === null && own !== null) {
    found.push({
      who: 'repair',
      about: 'store',
      what: `${stateDir}/installation is not there: the next start would make another one, and every VM a stranger`,
      next: `it is written again from the book: ${own}`,
      repair: { kind: 'installation', installation: own },
    });
  }
  if (cloud.kind !== 'listed') return found;
  const mine = own ?? installation;
  const others = new Map<string, string[]>();
  for (const server of cloud.servers) {
    const theirs = server.metadata[identityKeys.installation];
    if (theirs === undefined || theirs === mine) continue;
    others.set(theirs, [...(others.get(theirs) ?? []), server.name]);
  }
  for (const [theirs, names] of others) {
    found.push({
      who: 'operator',
      about: 'cloud',
      what: `servers of pool ${pool} carry another installation, ${theirs}: ${some(names)}`,
      next:
        mine === null
          ? `if they are this pool's and its state directory was lost without a backup: vmpool recover --from-cloud --installation ${theirs}`
          : 'they are left alone. They are of another service with this pool name, or of a state directory that this one replaced: then stop the service, move this directory away and put the other one back (vmpool restore)',
    });
  }
  return found;
};
