import type { InstallationId, ServerId } from '../pool/model.js';
import { CloudError, identityKeys } from './port.js';
import type { Listing, ServerView } from './port.js';
import { listServers } from './servers.js';
import type { CloudLog, Session } from './session.js';

/** Nova's records have whole seconds, and its API hosts' clocks differ a little: so much is read twice. */
const overlapMs = 5_000;

/**
 * Lists everything, or only what has changed since the listing before. The time between is Nova's own, from the
 * Date of its answers: this machine's clock plays no part. Where Nova does not tell the time or refuses the
 * question, everything is listed each time.
 */
export class ServerLists {
  #sinceMs: number | null = null;
  #served = true;
  /** Servers that were seen with our mark, as far back as the last whole listing. */
  #marks = new Map<ServerId, ServerView['metadata']>();

  constructor(
    private readonly session: Session,
    private readonly installation: InstallationId,
    private readonly log: CloudLog,
  ) {}

  async all(signal: AbortSignal): Promise<Listing> {
    return this.#list(null, signal);
  }

  async changed(signal: AbortSignal): Promise<Listing> {
    if (!this.#served || this.#sinceMs === null) return this.all(signal);
    try {
      return await this.#list(new Date(this.#sinceMs - overlapMs), signal);
    } catch (error) {
      if (!(error instanceof CloudError) || !['bad-answer', 'forbidden'].includes(error.kind)) throw error;
      this.#served = false;
      this.log.warn(
        { why: error.message },
        'this cloud does not list changes; all servers are listed each time',
      );
      return this.all(signal);
    }
  }

  async #list(since: Date | null, signal: AbortSignal): Promise<Listing> {
    const { dateMs, whole, ...listing } = await listServers(
      this.session,
      (server) => this.#asOurs(server),
      this.log,
      signal,
      since,
    );
    // A listing with a page missing may have left out a change: the next one starts from the same point again.
    if (whole) this.#sinceMs = dateMs;
    if (listing.complete) this.#marks = new Map();
    for (const { id, metadata } of listing.servers) this.#marks.set(id, metadata);
    return listing;
  }

  /** Nova deletes a server's metadata with it: one that it shows as DELETED is ours if it was when it was there. */
  #asOurs(server: ServerView): ServerView | null {
    if (server.metadata[identityKeys.installation] === this.installation) return server;
    const metadata = server.status === 'DELETED' ? this.#marks.get(server.id) : undefined;
    return metadata === undefined ? null : { ...server, metadata };
  }
}
