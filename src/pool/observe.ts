import type { ServerView } from '../cloud/port.js';
import { identityKeys } from '../cloud/port.js';
import type { Context, Member, State } from './book.js';
import { entryAt, isDeleting, isUnusable, membersOf, without } from './book.js';
import { createFailed } from './breaker.js';
import type { NoteSink } from './members.js';
import { moveMember, patchMember, putMember, withBook } from './members.js';
import type { CellName, Endpoint, MemberName, MemberSpec, Millis, ServerId } from './model.js';
import { decided } from './reasons.js';

const sshPort = 22;

/** The address used for SSH: on `sshNetwork` (or the only network), a floating one before a fixed one, IPv4 first. */
export function sshEndpoint(spec: MemberSpec, addresses: ServerView['addresses']): Endpoint | null {
  const names = Object.keys(addresses);
  // Nova lists addresses by name, also where the spec names the network by its id.
  const listed = spec.pinned?.networks[spec.networks.indexOf(spec.sshNetwork)]?.name;
  const network =
    addresses[spec.sshNetwork] ??
    addresses[listed ?? ''] ??
    (names.length === 1 ? addresses[names[0] as string] : undefined);
  if (network === undefined) return null;
  const wanted = spec.floatingIpPool === null ? 'fixed' : 'floating';
  const usable = network.filter((a) => a.type === wanted).sort((a, b) => a.version - b.version);
  const first = usable[0];
  return first === undefined ? null : { host: first.address, port: sshPort };
}

/** What Nova's status means for a VM that should be running: null when there is nothing wrong with it. */
export function troubleOf(status: string, fault: string | null = null): string | null {
  switch (status) {
    case 'ACTIVE':
    case 'BUILD':
    case 'REBUILD':
    case 'REBOOT':
    case 'HARD_REBOOT':
    case 'MIGRATING':
    case 'RESIZE':
    case 'REVERT_RESIZE':
    case 'VERIFY_RESIZE':
    case 'PASSWORD':
    case 'UNKNOWN':
      return null;
    case 'ERROR':
      return `Nova reports ERROR: ${fault ?? 'no reason given'}`;
    default:
      return `Nova reports ${status}: someone else changed this server`;
  }
}

/**
 * What Nova does to a server by an order that was not ours, null for nothing: the guest is down for a while and may
 * come back as another one. An evacuated server shows as REBUILD, one that is moved cold to another host as RESIZE
 * and then VERIFY_RESIZE, in which it runs again. Live migration disturbs no guest.
 */
export function disturbanceOf(status: string): string | null {
  switch (status) {
    case 'REBUILD':
    case 'REBOOT':
    case 'HARD_REBOOT':
    case 'RESIZE':
    case 'REVERT_RESIZE':
      return `Nova reports ${status}: someone else, or the cloud's maintenance, is at work on this server`;
    default:
      return null;
  }
}

/** Shown by listings of what has changed, and by clouds that keep deleted servers for a while. */
function isGone(status: string): boolean {
  return status === 'DELETED' || status === 'SOFT_DELETED';
}

/** A server of ours as Nova shows it now. */
function appeared(s: State, member: Member, server: ServerView, c: Context, note: NoteSink): State {
  const endpoint = sshEndpoint(member.spec, server.addresses) ?? member.endpoint;
  let state = s;
  const same =
    member.server?.id === server.id &&
    member.server.status === server.status &&
    member.endpoint?.host === endpoint?.host &&
    member.endpoint?.port === endpoint?.port;
  if (!same) state = putMember(s, { ...member, server: { id: server.id, status: server.status }, endpoint });
  state = { ...state, sight: { ...state.sight, unlisted: without(state.sight.unlisted, member.name) } };
  if (isGone(server.status)) return absent(state, member.name, c, note);
  if (isUnusable(member, 'lost'))
    state = moveMember(state, member.name, 'reappeared', 'Nova knows its server again', c, note);
  // The copy of the store only knew that it was to be made: it was, and a job may be on it.
  const { hold } = member;
  if (isUnusable(member, 'building') && hold?.kind === 'restored' && Date.parse(server.createdAt) < hold.at)
    return moveMember(state, member.name, 'held', hold.why, c, note);
  const bad = troubleOf(server.status, server.fault);
  if (bad === null) {
    const busy = disturbanceOf(server.status);
    return busy === null ? state : moveMember(state, member.name, 'disturbed', busy, c, note);
  }
  if (isUnusable(member, 'building')) state = createFailed(state, member.bornAt, bad, c, note);
  return moveMember(state, member.name, 'broken', bad, c, note);
}

/** Nova says 404 to a look by id. */
function absent(s: State, name: MemberName, c: Context, note: NoteSink): State {
  const member = s.book.members.get(name);
  if (member === undefined) return s;
  if (isDeleting(member)) return patchMember(s, name, { server: null });
  if (isUnusable(member, 'lost')) {
    const state = moveMember(s, name, 'overdue', 'its server is gone', c, note, { ended: 'gone' });
    return patchMember(state, name, { server: null });
  }
  if (member.state.kind === 'Busy') {
    if (member.server?.status === 'GONE') return s;
    note({
      at: c.now,
      kind: 'vm',
      member: name,
      detail: 'the server of a running job is gone; its job decides what follows',
    });
    return member.server === null
      ? s
      : patchMember(s, name, { server: { ...member.server, status: 'GONE' } });
  }
  return moveMember(s, name, 'absent', 'Nova no longer knows its server', c, note);
}

/** A server that carries our UUID under a name that the book does not know: held until it is explained. */
function adopt(s: State, server: ServerView, c: Context, note: NoteSink): State {
  const name = server.metadata[identityKeys.member] as MemberName;
  const seq = s.book.seq + 1;
  const networks = Object.keys(server.addresses);
  const spec: MemberSpec = {
    ...(s.book.shape?.spec ?? unknownSpec),
    pinned: undefined,
    networks,
    sshNetwork:
      s.book.shape !== null && networks.includes(s.book.shape.spec.sshNetwork)
        ? s.book.shape.spec.sshNetwork
        : (networks[0] ?? ''),
    siteNetwork: networks[0] ?? '',
    userData: '',
  };
  const named = server.metadata[identityKeys.cell] ?? '';
  const cell = (/^[a-z0-9][a-z0-9-]{0,40}$/.test(named) ? named : '') as CellName;
  const why =
    'a server of ours that the store does not know; it stays until every worker has synced and its marker was read';
  const member: Member = {
    name,
    cell,
    seq,
    bornAt: Date.parse(server.createdAt) || c.now,
    made: { reason: 'found', detail: why },
    generation: server.metadata[identityKeys.generation] ?? '',
    spec,
    state: { kind: 'Unusable', reason: 'held', since: c.now, detail: why },
    engine: cell === '' ? 'dropped' : 'adopted',
    server: { id: server.id, status: server.status },
    endpoint: sshEndpoint(spec, server.addresses),
    hostKeys: [],
    bootId: null,
    tenant: null,
    retire: null,
    hold: { kind: 'unknown', why, at: c.now },
  };
  note({ at: c.now, kind: 'vm', member: name, ...decided('made', 'found'), detail: `held: ${why}` });
  const cells = s.book.cells.includes(cell) || cell === '' ? s.book.cells : [...s.book.cells, cell];
  return putMember(withBook(s, { seq, cells }), member);
}

/**
 * An instance in a cell's state under a name that the book never had (a lost or restored store): held like a server
 * that only the cloud shows. Where its server is gone, looks by id find that out, and it leaves its stack's state.
 */
export function adoptInstance(
  s: State,
  cell: CellName,
  name: MemberName,
  id: ServerId,
  c: Context,
  note: NoteSink,
): State {
  if (s.book.members.get(name) !== undefined || s.book.retired.get(name) !== undefined || !isSafeName(name))
    return s;
  const server: ServerView = {
    id,
    name,
    status: 'UNKNOWN',
    taskState: null,
    addresses: {},
    metadata: { [identityKeys.member]: name, [identityKeys.cell]: cell },
    fault: null,
    createdAt: '',
  };
  return adopt(s, server, c, note);
}

const unknownSpec: MemberSpec = {
  flavor: '',
  image: '',
  networks: [],
  sshNetwork: '',
  siteNetwork: '',
  securityGroups: [],
  availabilityZones: [],
  userData: '',
  metadata: {},
  configDrive: false,
  bootVolumeGiB: null,
  floatingIpPool: null,
  serverGroupPolicy: null,
};

function isSafeName(name: string | undefined): name is string {
  return name !== undefined && /^[a-z0-9][a-z0-9-]{0,62}$/i.test(name);
}

/** A listing of our servers. It proves presence; absence, or a server listed as deleted, only starts a second look by id. */
export function listed(
  s: State,
  servers: readonly ServerView[],
  complete: boolean,
  c: Context,
  note: NoteSink,
): State {
  let state = s;
  const seen = new Set<string>();
  const doubted = new Set<string>();
  for (const server of servers) {
    if (server.metadata[identityKeys.pool] !== s.book.pool) continue;
    const name = server.metadata[identityKeys.member];
    if (!isSafeName(name)) continue;
    const member = state.book.members.get(name);
    if (isGone(server.status)) {
      if (member?.server?.id === server.id) doubted.add(name);
    } else if (member === undefined) {
      if (state.book.retired.get(name) === undefined) {
        state = adopt(state, server, c, note);
        seen.add(name);
      } else state = stray(state, server, name as MemberName, c, note);
    } else if (member.server === null || member.server.id === server.id) {
      seen.add(name);
      state = appeared(state, member, server, c, note);
    } else state = stray(state, server, member.name, c, note);
  }
  const unlisted: Record<string, number> = {};
  for (const member of membersOf(state.book)) {
    if (seen.has(member.name)) continue;
    const since =
      entryAt(state.sight.unlisted, member.name) ??
      (complete || doubted.has(member.name) ? c.now : undefined);
    if (since !== undefined) unlisted[member.name] = since;
  }
  return {
    ...state,
    sight: {
      ...state.sight,
      unlisted,
      lastListing: { at: c.now, complete },
      cloudProblem: null,
      restUntil: null,
    },
  };
}

/** Longest that a cloud's wish for a pause is believed: it may be a mistake, and jobs wait. */
export const longestRestMs = 600_000;

/** A listing that came to nothing. A cloud that asked for a pause gets it: it would refuse creates just as well. */
export function cloudFailed(s: State, why: string, restMs: Millis | null, c: Context): State {
  const before = s.sight.restUntil;
  const asked = restMs === null ? null : c.now + Math.min(restMs, longestRestMs);
  const restUntil = asked === null ? before : Math.max(asked, before ?? 0);
  return { ...s, sight: { ...s.sight, cloudProblem: why, restUntil } };
}

function stray(s: State, server: ServerView, name: MemberName, c: Context, note: NoteSink): State {
  if (entryAt(s.book.strays, server.id) !== undefined) return s;
  note({
    at: c.now,
    kind: 'stray',
    member: name,
    detail: `server ${server.id} carries the name but is not (any more) that member`,
  });
  const entry = { server: server.id, name, firstSeen: c.now };
  return withBook(s, { strays: { ...s.book.strays, [server.id]: entry } });
}

/** A look by id at a member's server. */
export function looked(
  s: State,
  name: MemberName,
  id: ServerId,
  view: ServerView | null,
  c: Context,
  note: NoteSink,
): State {
  const member = s.book.members.get(name);
  if (member === undefined || member.server?.id !== id) return s;
  const others = without(s.sight.inBuild, name);
  const inBuild = view?.status === 'BUILD' ? { ...others, [name]: c.now } : others;
  const state = { ...s, sight: { ...s.sight, looked: { ...s.sight.looked, [name]: c.now }, inBuild } };
  return view === null ? absent(state, name, c, note) : appeared(state, member, view, c, note);
}

export function strayGone(s: State, id: ServerId, c: Context, note: NoteSink): State {
  const entry = entryAt(s.book.strays, id);
  if (entry === undefined) return s;
  const why = strayWhy(s, id);
  note({
    at: c.now,
    kind: 'stray',
    member: entry.name,
    ...(why === null ? {} : decided('ended', 'stray')),
    detail: `server ${id} is gone${why === null ? '' : `, deleted because ${why}`}`,
  });
  return withBook(s, { strays: without(s.book.strays, id) });
}

/**
 * Why a stray may be deleted, null where it may not: the store retired its name, or Pulumi itself says which server is
 * the member's.
 */
export function strayWhy(s: State, id: ServerId): string | null {
  const entry = entryAt(s.book.strays, id);
  if (entry === undefined) return null;
  const member = s.book.members.get(entry.name);
  if (member === undefined)
    return s.book.retired.get(entry.name) === undefined ? null : 'its name is that of a VM that was ended';
  const isOther =
    member.engine === 'managed' &&
    member.server !== null &&
    member.server.id !== id &&
    member.hold?.kind !== 'unknown';
  return isOther ? `by its stack the VM of that name is server ${member.server.id}` : null;
}
