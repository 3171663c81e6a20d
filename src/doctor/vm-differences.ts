import type { ServerView } from '../cloud/port.js';
import { identityKeys } from '../cloud/port.js';
import type { Book, Member } from '../pool/book.js';
import { entryAt, isDeleting, isUnexplained } from '../pool/book.js';
import type { Difference, Facts, MarkerFacts, StackFacts } from './facts.js';

/** Everything that is known of one name, wherever it stands. */
interface Named {
  readonly name: string;
  readonly member: Member | undefined;
  readonly servers: readonly ServerView[];
  readonly inStack: { readonly stack: StackFacts; readonly serverId: string } | undefined;
  readonly marker: MarkerFacts | undefined;
}

/** VMs by the book, the cloud, the stacks' states and their own markers, one name after the other. */
export const vmDifferences = (facts: Facts): readonly Difference[] => {
  if (facts.book.kind === 'unusable') return [];
  const book = facts.book.kind === 'read' ? facts.book.book : null;
  const ours = book?.installation ?? facts.installation;
  const servers =
    facts.cloud.kind === 'listed'
      ? facts.cloud.servers.filter((server) => server.metadata[identityKeys.installation] === ours)
      : [];
  const names = new Set<string>([
    ...(book?.members.keys() ?? []),
    ...servers.flatMap((server) => server.metadata[identityKeys.member] ?? []),
    ...facts.stacks.flatMap(({ instances }) => instances.map(({ member }) => member)),
  ]);
  return [...names].sort().flatMap((name) => {
    const inStack = facts.stacks.flatMap((stack) =>
      stack.instances.flatMap(({ member, serverId }) => (member === name ? [{ stack, serverId }] : [])),
    )[0];
    const named: Named = {
      name,
      member: book?.members.get(name),
      servers: servers.filter((server) => server.metadata[identityKeys.member] === name),
      inStack,
      marker: entryAt(facts.markers, name),
    };
    return named.member === undefined
      ? stranger(named, book, facts)
      : [
          ...serverDifferences(named.member, named, facts),
          ...stackDifferences(named.member, named, facts),
          ...markerDifferences(named.member, named, book),
        ];
  });
};

const started = (facts: Facts): string =>
  facts.book.kind === 'read' && facts.book.running ? '' : 'when the service runs, ';

/** A name that the book has not. */
const stranger = (named: Named, book: Book | null, facts: Facts): readonly Difference[] => {
  const { name, servers, inStack, marker } = named;
  const retired = book?.retired.has(name) === true;
  const [server] = servers;
  if (server === undefined) {
    if (inStack === undefined) return [];
    const { stack } = inStack.stack;
    return facts.cloud.kind !== 'listed' || !facts.cloud.complete
      ? []
      : [
          {
            who: 'itself',
            about: name,
            what: `it stands in the state of stack ${stack}, and neither the book nor the cloud has it`,
            next: `${started(facts)}it leaves the state when its cell is next used; it costs nothing`,
          },
        ];
  }
  if (retired) {
    return [
      {
        who: 'itself',
        about: name,
        what: `server ${server.id} carries a name that the book has retired`,
        next: `${started(facts)}it is looked at by id and deleted`,
      },
    ];
  }
  return [
    {
      who: 'itself',
      about: name,
      what: `server ${server.id} is ours and the book does not know it${markerWords(marker)}`,
      next: `${started(facts)}it is held until its marker was read and every configured worker has synced; then its job gets its lease back, or the VM goes`,
    },
  ];
};

const markerWords = (marker: MarkerFacts | undefined): string => {
  if (marker?.kind !== 'read') return '';
  if (marker.lease === null) return '; no job is on it';
  const seal = marker.authentic ? '' : ", without this service's seal";
  return `; its marker names job ${marker.job ?? ''} of ${marker.worker ?? ''}${seal}`;
};

const serverDifferences = (member: Member, named: Named, facts: Facts): readonly Difference[] => {
  const { name, servers } = named;
  const found: Difference[] = [];
  const known = member.server?.id;
  for (const server of servers) {
    if (known === undefined || server.id === known) continue;
    const sure = member.engine === 'managed' && member.hold?.kind !== 'unknown';
    found.push({
      who: sure ? 'itself' : 'operator',
      about: name,
      what: `server ${server.id} carries its name, and the book says that it is server ${known}`,
      next: sure
        ? `${started(facts)}Pulumi says which one it is, so the other is looked at by id and deleted`
        : `it is left alone. When nothing runs on it: openstack server delete ${server.id}`,
    });
  }
  if (known === undefined || facts.cloud.kind !== 'listed') return found;
  if (servers.some((server) => server.id === known)) return found;
  const looked = entryAt(facts.cloud.looked, name);
  if (looked !== null || isDeleting(member)) return found;
  found.push({
    who: 'itself',
    about: name,
    what: `Nova no longer knows its server ${known}`,
    next:
      member.state.kind === 'Busy'
        ? `its job ${member.tenant?.job ?? ''} decides what follows: the job starter ends with the reason, Torque starts the job again`
        : `${started(facts)}it is given up and another one is made if it is needed`,
  });
  return found;
};

const stackDifferences = (member: Member, named: Named, facts: Facts): readonly Difference[] => {
  const { name, inStack } = named;
  const stack = facts.stacks.find(({ cell }) => cell === member.cell);
  if (stack?.broken != null) return [];
  if (member.engine === 'managed' && inStack === undefined && !isDeleting(member)) {
    return [
      {
        who: 'itself',
        about: name,
        what: `the book says that Pulumi has it, and the state of its stack has not`,
        next: `nothing is made or deleted for that: it counts as without state, and ends through Nova when it is not needed any more`,
      },
    ];
  }
  const known = member.server?.id;
  if (inStack !== undefined && known !== undefined && inStack.serverId !== known) {
    return [
      {
        who: 'operator',
        about: name,
        what: `stack ${inStack.stack.stack} has server ${inStack.serverId} under its name, the book ${known}`,
        next: `vmpool retire ${name}: it goes when its job has ended, and both servers with it`,
      },
    ];
  }
  return [];
};

const markerDifferences = (member: Member, named: Named, book: Book | null): readonly Difference[] => {
  const { name, marker } = named;
  if (marker === undefined || book === null) return [];
  if (marker.kind === 'silent') {
    if (member.state.kind === 'Unusable' && !isUnexplained(member)) return [];
    return [
      {
        who: isUnexplained(member) ? 'operator' : 'itself',
        about: name,
        what: `its marker could not be read: ${marker.why}`,
        next: isUnexplained(member)
          ? `it stays held as long as it does not answer. If nothing of worth runs there: vmpool retire ${name}`
          : member.state.kind === 'Busy'
            ? 'a Busy VM is left alone; its job ends by itself or by Torque'
            : 'the service probes it as well and takes it out of use',
      },
    ];
  }
  const lease = member.state.kind === 'Busy' ? book.leases.get(member.state.lease) : undefined;
  if (member.state.kind === 'Busy' && lease?.ready === true && marker.lease !== member.state.lease) {
    return [
      {
        who: 'itself',
        about: name,
        what: `the book says that job ${lease.request.key.job} runs on it, and its marker ${marker.lease === null ? 'is gone' : `names job ${marker.job ?? ''}`}`,
        next: 'it is left alone until that job has ended, then held until it is explained',
      },
    ];
  }
  if (member.state.kind === 'Free' && marker.lease !== null) {
    return [
      {
        who: 'itself',
        about: name,
        what: `it is Free in the book, and its marker names job ${marker.job ?? ''}`,
        next: 'the next probe holds it: nobody gets it',
      },
    ];
  }
  return [];
};
