import type { ServerId } from '../pool/model.js';

/** Metadata keys by which a server is known as ours; written at create by the Pulumi program. */
export const identityKeys = {
  installation: 'vmpool_installation',
  pool: 'vmpool_pool',
  member: 'vmpool_member',
  cell: 'vmpool_cell',
  generation: 'vmpool_generation',
} as const;

/** What the Pulumi program writes on a floating IP that it allocates for a member. */
export const floatingIpDescription = (installation: string, member: string): string =>
  `vmpool ${installation} ${member}`;

/** A floating IP with such a description, as Neutron shows it. */
export interface FloatingIpView {
  readonly id: string;
  readonly address: string;
  /** Of the description: a member's name. */
  readonly member: string;
  /** Whether it leads to a port of some server. */
  readonly isAssociated: boolean;
}

/** A server as Nova shows it. */
export interface ServerView {
  readonly id: ServerId;
  readonly name: string;
  /** Nova's status: ACTIVE, BUILD, ERROR, SHUTOFF, PAUSED, SUSPENDED, SHELVED, RESCUE, REBUILD, DELETED... */
  readonly status: string;
  readonly taskState: string | null;
  /** By network name, in Nova's order; fixed and floating. */
  readonly addresses: Readonly<
    Record<
      string,
      readonly { readonly address: string; readonly version: 4 | 6; readonly type: 'fixed' | 'floating' }[]
    >
  >;
  readonly metadata: Readonly<Record<string, string>>;
  readonly fault: string | null;
  readonly createdAt: string;
}

export interface Listing {
  readonly servers: readonly ServerView[];
  /** False when a page failed or the listing is known not to be whole: it then proves no absence. */
  readonly complete: boolean;
  /** Why it is not complete, in plain words. */
  readonly why?: string;
}

/** Null is no limit. */
export interface QuotaUse {
  readonly used: number;
  readonly limit: number | null;
}

/** What the project uses and may use. Null where the cloud has no such service, or does not tell. */
export interface QuotaView {
  readonly instances: QuotaUse;
  readonly cores: QuotaUse;
  readonly ramMiB: QuotaUse;
  readonly ports: QuotaUse | null;
  readonly floatingIps: QuotaUse | null;
  readonly volumes: QuotaUse | null;
  readonly volumeGiB: QuotaUse | null;
}

/** Why a call to the cloud did not do what it was asked. */
export type CloudErrorKind =
  | 'unauthorised'
  | 'forbidden'
  | 'quota'
  | 'not-found'
  | 'conflict'
  | 'rate-limited'
  | 'unavailable'
  | 'bad-answer';

export class CloudError extends Error {
  constructor(
    readonly kind: CloudErrorKind,
    message: string,
    /** From Retry-After, in milliseconds. */
    readonly retryAfterMs: number | null = null,
  ) {
    super(message);
    this.name = 'CloudError';
  }
}

/** One named thing looked up in the cloud (flavor, image, network): found, or why not, in plain words. */
export type Lookup<T> =
  { readonly found: true; readonly value: T } | { readonly found: false; readonly why: string };

/** Reads OpenStack and deletes what the engine cannot. Never creates. All calls throw `CloudError`. */
export interface Cloud {
  /** All servers of the project that carry this installation's UUID in their metadata. */
  listOurs(signal: AbortSignal): Promise<Listing>;
  /**
   * Only those of ours that have changed since the listing before, where the cloud can tell; deleted ones with the
   * status DELETED. Never complete, unless everything had to be listed after all. What changes nothing in Nova's own
   * record of a server, such as its addresses, is not sure to show.
   */
  listChanged(signal: AbortSignal): Promise<Listing>;
  /** A second look, by id; null when Nova says 404. */
  server(id: ServerId, signal: AbortSignal): Promise<ServerView | null>;
  /** Idempotent; a server that is not there counts as deleted. */
  deleteServer(id: ServerId, signal: AbortSignal): Promise<void>;
  /**
   * Orders a rebuild from an image (name or id), keeping the server's user data. Only for VMs that are nobody's:
   * `reuse: rebuild`. Nova answers at once; the status goes through REBUILD back to ACTIVE.
   */
  rebuildServer(id: ServerId, imageNameOrId: string, signal: AbortSignal): Promise<void>;
  /** The last `lines` lines of the console log. */
  consoleLog(id: ServerId, lines: number, signal: AbortSignal): Promise<string>;
  quota(signal: AbortSignal): Promise<QuotaView>;
  /** The project's floating IPs whose description names this installation. */
  floatingIps(signal: AbortSignal): Promise<readonly FloatingIpView[]>;
  /** A second look, by id; null when Neutron says 404 or it is not ours. */
  floatingIp(id: string, signal: AbortSignal): Promise<FloatingIpView | null>;
  /** Idempotent; one that is not there counts as released. */
  releaseFloatingIp(id: string, signal: AbortSignal): Promise<void>;
  /** Number of actions in Nova's log of that server beyond its create. */
  actions(
    id: ServerId,
    signal: AbortSignal,
  ): Promise<readonly { readonly action: string; readonly at: string }[]>;
  /** Whether this cloud takes tags when a server is made (Nova's microversion 2.52). */
  tagsAtCreate(signal: AbortSignal): Promise<boolean>;
  flavor(
    nameOrId: string,
    signal: AbortSignal,
  ): Promise<Lookup<{ id: string; name: string; vcpus: number; ramMiB: number }>>;
  image(nameOrId: string, signal: AbortSignal): Promise<Lookup<{ id: string; name: string; status: string }>>;
  network(nameOrId: string, signal: AbortSignal): Promise<Lookup<{ id: string; name: string }>>;
}
