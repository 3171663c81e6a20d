import { z } from 'zod';
import type { ServerId } from '../pool/model.js';
import { CloudError } from './port.js';
import type { Listing, ServerView } from './port.js';
import type { CloudClock } from './clock.js';
import type { CloudLog, Session } from './session.js';

const listTimeoutMs = 60_000;
/** Asked for in one page; a cloud with a lower limit gives fewer and links on. */
const pageSize = 500;
const maxPages = 1_000;
const conflictTries = 4;
const conflictPauseMs = 2_000;

const addressShape = z.object({
  addr: z.string(),
  version: z.union([z.literal(4), z.literal(6)]),
  'OS-EXT-IPS:type': z.enum(['fixed', 'floating']).default('fixed'),
});

const serverShape = z
  .object({
    id: z.string().min(1),
    name: z.string(),
    status: z.string(),
    created: z.string().default(''),
    'OS-EXT-STS:task_state': z.string().nullish(),
    addresses: z.record(z.string(), z.array(addressShape)).default({}),
    metadata: z.record(z.string(), z.string()),
    fault: z.object({ message: z.string().optional(), details: z.string().optional() }).nullish(),
  })
  .transform((server): ServerView => ({
    id: server.id as ServerId,
    name: server.name,
    status: server.status,
    taskState: server['OS-EXT-STS:task_state'] ?? null,
    addresses: Object.fromEntries(
      Object.entries(server.addresses).map(([network, list]) => [
        network,
        list.map((each) => ({ address: each.addr, version: each.version, type: each['OS-EXT-IPS:type'] })),
      ]),
    ),
    metadata: server.metadata,
    fault: server.fault?.message ?? null,
    createdAt: server.created,
  }));

const pageShape = z.object({
  servers: z.array(z.unknown()),
  servers_links: z.array(z.object({ rel: z.string(), href: z.string() })).default([]),
});

const actionsShape = z.object({
  instanceActions: z.array(z.object({ action: z.string(), start_time: z.string() })),
});

/** Nova's times have no zone and are UTC. */
const utc = (time: string): string => (/(Z|[+-]\d\d:?\d\d)$/.test(time) ? time : `${time}Z`);

const serverPath = (id: ServerId): string => `/servers/${encodeURIComponent(id)}`;

/** Only the marker of a `next` link is used: behind a proxy its host is often one that cannot be reached. */
function markerOf(href: string): string | null {
  const query = href.indexOf('?');
  return query < 0 ? null : new URLSearchParams(href.slice(query + 1)).get('marker');
}

/** A listing with the time of the cloud's own clock at its first page. */
export interface DatedListing extends Listing {
  readonly dateMs: number | null;
  /** False when a page failed. */
  readonly whole: boolean;
}

/**
 * All pages of the project's servers, kept to those that are ours. Nova lets no ordinary
 * user filter by metadata, and a filter by tag would hide a server whose tag is missing: so everything is
 * read. The first page's failure is thrown; a later one's leaves what was seen, marked as not complete.
 * With `changedSince` only servers whose record was changed after it, deleted ones with the status DELETED.
 */
export async function listServers(
  session: Session,
  asOurs: (server: ServerView) => ServerView | null,
  log: CloudLog,
  signal: AbortSignal,
  changedSince: Date | null = null,
): Promise<DatedListing> {
  const seen = new Map<ServerId, ServerView>();
  const markers = new Set<string>();
  let why: string | null = null;
  let marker: string | null = null;
  let dateMs: number | null = null;
  const since = changedSince === null ? '' : `&changes-since=${changedSince.toISOString().slice(0, 19)}Z`;
  for (let page = 1; ; page += 1) {
    const what = `list the servers (page ${page})`;
    const query: string = marker === null ? '' : `&marker=${encodeURIComponent(marker)}`;
    let body: z.infer<typeof pageShape>;
    try {
      const read = await session.readDated(
        {
          what,
          service: 'compute',
          method: 'GET',
          path: `/servers/detail?limit=${pageSize}${since}${query}`,
          timeoutMs: listTimeoutMs,
        },
        pageShape,
        signal,
      );
      body = read.body;
      dateMs ??= read.dateMs;
    } catch (error) {
      if (page === 1 || !(error instanceof CloudError) || signal.aborted) throw error;
      why = error.message;
      break;
    }
    for (const raw of body.servers) {
      const parsed = serverShape.safeParse(raw);
      if (parsed.success) {
        const ours = asOurs(parsed.data);
        // A server can move between pages while they are read: the later sight is the newer one.
        if (ours !== null) seen.set(ours.id, ours);
        continue;
      }
      const issue = parsed.error.issues[0];
      why = `could not ${what}: a server in it cannot be read (${issue?.path.join('.') ?? ''}: ${issue?.code ?? ''})`;
    }
    const next = body.servers_links.find((link) => link.rel === 'next');
    if (next === undefined) break;
    marker = markerOf(next.href);
    if (marker === null || markers.has(marker) || page >= maxPages) {
      why = `could not ${what}: its link to the next page leads nowhere new`;
      break;
    }
    markers.add(marker);
  }
  const servers = await withFaults(session, [...seen.values()], signal);
  if (why !== null) {
    log.warn({ seen: servers.length, why }, 'the list of servers is not complete; it proves no absence');
    return { servers, complete: false, why, dateMs, whole: false };
  }
  if (changedSince === null) return { servers, complete: true, dateMs, whole: true };
  return { servers, complete: false, why: 'it shows only what has changed', dateMs, whole: true };
}

/** Failed servers that are asked for their reason in one listing, at most: a cloud in trouble is not asked for hundreds. */
const mostFaults = 8;

/**
 * Nova leaves the fault of a server that no host would take out of its listings: such a server lies in a cell of its
 * own (cell0), and only a look at it by id tells the reason. Where that look fails, the reason stays unknown.
 */
async function withFaults(
  session: Session,
  servers: readonly ServerView[],
  signal: AbortSignal,
): Promise<readonly ServerView[]> {
  const silent = servers.filter(({ status, fault }) => status === 'ERROR' && fault === null);
  if (silent.length === 0) return servers;
  const told = new Map<ServerId, string>();
  for (const { id } of silent.slice(0, mostFaults)) {
    try {
      const fault = (await readServer(session, id, signal))?.fault ?? null;
      if (fault !== null) told.set(id, fault);
    } catch (error) {
      if (!(error instanceof CloudError) || signal.aborted) throw error;
      break;
    }
  }
  return servers.map((server) => ({ ...server, fault: server.fault ?? told.get(server.id) ?? null }));
}

/** Null when Nova says 404. */
export async function readServer(
  session: Session,
  id: ServerId,
  signal: AbortSignal,
): Promise<ServerView | null> {
  const what = `read the server ${id}`;
  const shape = z.object({ server: serverShape });
  try {
    const body = await session.read(
      { what, service: 'compute', method: 'GET', path: serverPath(id) },
      shape,
      signal,
    );
    return body.server;
  } catch (error) {
    if (error instanceof CloudError && error.kind === 'not-found') return null;
    throw error;
  }
}

/** Deletes; absent is done. Nova says 409 while another task holds the server: tried a few times. */
export async function deleteServer(
  session: Session,
  id: ServerId,
  clock: CloudClock,
  signal: AbortSignal,
): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await session.call(
        {
          what: `delete the server ${id}`,
          service: 'compute',
          method: 'DELETE',
          path: serverPath(id),
          accept: [404],
        },
        signal,
      );
      return;
    } catch (error) {
      if (!(error instanceof CloudError) || error.kind !== 'conflict' || tries >= conflictTries) throw error;
      await clock.sleep(conflictPauseMs * tries, signal);
    }
  }
}

/**
 * Orders a rebuild from an image by id. Metadata and user data stay as they are: nothing of them is sent.
 * Never repeated after it may have arrived; `conflict` while Nova has another task on the server.
 */
export async function rebuildServer(
  session: Session,
  id: ServerId,
  imageId: string,
  signal: AbortSignal,
): Promise<void> {
  await session.call(
    {
      what: `rebuild the server ${id} from the image ${imageId}`,
      service: 'compute',
      method: 'POST',
      path: `${serverPath(id)}/action`,
      body: { rebuild: { imageRef: imageId } },
      once: true,
    },
    signal,
  );
}

export async function readConsole(
  session: Session,
  id: ServerId,
  lines: number,
  signal: AbortSignal,
): Promise<string> {
  const body = await session.read(
    {
      what: `read the console of the server ${id}`,
      service: 'compute',
      method: 'POST',
      path: `${serverPath(id)}/action`,
      body: { 'os-getConsoleOutput': { length: Math.max(1, Math.floor(lines)) } },
    },
    z.object({ output: z.string().nullish() }),
    signal,
  );
  return body.output ?? '';
}

/** Nova's action log of a server without its create, oldest first. */
export async function readActions(
  session: Session,
  id: ServerId,
  signal: AbortSignal,
): Promise<readonly { readonly action: string; readonly at: string }[]> {
  const body = await session.read(
    {
      what: `read the action log of the server ${id}`,
      service: 'compute',
      method: 'GET',
      path: `${serverPath(id)}/os-instance-actions`,
    },
    actionsShape,
    signal,
  );
  return body.instanceActions
    .filter((entry) => entry.action !== 'create')
    .map((entry) => ({ action: entry.action, at: utc(entry.start_time) }))
    .sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
}
