import type { ServiceInput } from '../../stacks/services/plan.js';
import type { ServiceSettings } from '../../stacks/services/registry.js';
import type { CellName, MemberName, MemberSpec, ServerId } from '../pool/model.js';

/** One member as the Pulumi program of its cell sees it. */
export interface CellMember {
  readonly name: MemberName;
  readonly generation: string;
  readonly spec: MemberSpec;
  /**
   * The book knows its server. One that the stack's state lacks (an earlier copy was put back, or it was lost) is
   * never created again: it counts as a lost create.
   */
  readonly made: boolean;
}

/**
 * The whole wish for one cell. A resource in the stack's state that is neither in `members` nor in `retire`
 * is left alone (it is protected) and reported as `unlisted`.
 */
export interface CellWish {
  readonly cell: CellName;
  readonly members: readonly CellMember[];
  /** Members that the book durably says are to go: unprotected first, then dropped. */
  readonly retire: readonly MemberName[];
}

/** Addresses of a server by network name, fixed ones first. */
export type AddressesByNetwork = Readonly<Record<string, readonly string[]>>;

/** What the engine reports while an `up` goes on. */
export type EngineEvent =
  | {
      readonly type: 'created';
      readonly cell: CellName;
      readonly member: MemberName;
      readonly serverId: ServerId;
      readonly addresses: AddressesByNetwork;
    }
  | { readonly type: 'createFailed'; readonly cell: CellName; readonly member: MemberName; readonly message: string }
  | { readonly type: 'removed'; readonly cell: CellName; readonly member: MemberName }
  | { readonly type: 'removeFailed'; readonly cell: CellName; readonly member: MemberName; readonly message: string }
  /** The cell's state was torn, and an earlier one took its place. */
  | { readonly type: 'statePutBack'; readonly cell: CellName; readonly message: string };

/** What a cell's state holds after an `up` (or is found to hold at recovery). */
export interface CellState {
  /** Instances in the state, with the server's id as Pulumi knows it. */
  readonly instances: readonly { readonly member: MemberName; readonly serverId: ServerId }[];
  /** Creates that were begun and never confirmed (engine killed): never retried under that name. */
  readonly lostCreates: readonly MemberName[];
  /** Instances in the state that the wish names nowhere. */
  readonly unlisted: readonly MemberName[];
}

/** Why an update failed. Names are kept: figures bear them. */
export const updateFailures = {
  locked: "another process holds the stack's lock",
  state: "the stack's state, or what is kept beside it, cannot be read",
  resources: 'some resources could not be made, changed or removed: the error is the cloud\'s or the provider\'s',
  pulumi: 'Pulumi failed and named no resource (backend, plugin, program)',
  limit: '`pulumi` did not end within its limit and was stopped',
  killed: '`pulumi` was killed by somebody else',
  engine: 'the engine process died, or its answer made no sense',
  aborted: 'cut off by the end of the service',
} as const satisfies Readonly<Record<string, string>>;
export type UpdateFailure = keyof typeof updateFailures;

export type ConvergeResult =
  | { readonly ok: true; readonly state: CellState }
  /** Some steps failed, the others went through; each failure was an event as well. */
  | {
      readonly ok: false;
      readonly state: CellState | null;
      readonly kind: UpdateFailure;
      readonly message: string;
    };

/** A cell as the engine finds it on its own. */
export interface FoundCell {
  readonly cell: CellName;
  /** Instances in its stack's state; null when that cannot be read. */
  readonly instances: readonly MemberName[] | null;
}

/** Pulumi behind one door. One call for each cell at a time; different cells run side by side. */
export interface Engine {
  /**
   * Brings one cell to its wish: recovers it first if an earlier run was killed (stale lock of our own,
   * pending operations), then `up`. Idempotent. Aborting ends the run as `pulumi cancel` would.
   */
  converge(wish: CellWish, onEvent: (event: EngineEvent) => void, signal: AbortSignal): Promise<ConvergeResult>;
  /** Reads what the pool stack publishes (its outputs), `null` when the stack has never been brought up. */
  poolOutputs(signal: AbortSignal): Promise<unknown>;
  /**
   * The pool's cells of which there is anything, a stack or the config of one, whether the caller knows them or not.
   * Reads only; the next `converge` of one whose state cannot be read puts an earlier one in its place, or says why not.
   */
  cells(signal: AbortSignal): Promise<readonly FoundCell[]>;
  /** The pool stack's config as its last good update had it, `null` when there was none. */
  poolConfig(signal: AbortSignal): Promise<PoolConfigInForce | null>;
  /**
   * Brings the pool stack up with this config, as `pulumi up` from a checkout would; rejects with why it is not up.
   * Calls no cloud.
   */
  updatePool(wish: PoolStackWish, signal: AbortSignal): Promise<void>;
  /** Publishes the members' list as the summary stack's outputs, for `pulumi preview` on the pool stack. */
  publishSummary(members: readonly PublishedMember[], signal: AbortSignal): Promise<void>;
  /**
   * Brings the stack of a service that follows the nodes to what is given; rejects with why its host does not have
   * it. Waits for no cell. One call for each service at a time.
   */
  updateService(wish: ServiceWish, signal: AbortSignal): Promise<void>;
  /** Destroys a service's stack: what is ours on its host goes, nothing else. */
  removeService(service: string, signal: AbortSignal): Promise<void>;
  /** Names of the services that have a stack of this pool. */
  listServices(signal: AbortSignal): Promise<readonly string[]>;
  /**
   * What the next `up` of a cell would do, as resource counts by operation and as text. The cell is recovered
   * and its retiring members are unprotected first, as before an `up`. Rejects when the cell is locked.
   */
  preview(wish: CellWish, signal: AbortSignal): Promise<PreviewResult>;
  close(): Promise<void>;
}

/** Keys as in `Pulumi.<pool>.yaml` (`vmpool:max`), values as they would be written there. */
export type StackConfig = Readonly<Record<string, unknown>>;

/** What the pool stack was last brought up with, whoever did that and from wherever. */
export interface PoolConfigInForce {
  /** Defaults of `Pulumi.yaml` may be among the keys. */
  readonly config: StackConfig;
  /** Keys whose values are encrypted, and so not in `config`. */
  readonly encrypted: readonly string[];
  /** What was said with that update (`--message`). */
  readonly message: string;
  /** When it began (ISO 8601): tells it from every other update. */
  readonly at: string;
}

export interface PoolStackWish {
  readonly config: StackConfig;
  /** Kept in the stack's history, readable by `pulumi stack history`. */
  readonly message: string;
  /** `at` of the update that the config was made from: another one in the meantime is not overwritten. */
  readonly since: string | null;
}

export interface ServiceWish {
  readonly service: string;
  readonly settings: ServiceSettings;
  readonly input: ServiceInput;
  /** Look at the host also if nothing changed since the last update: that one failed, or is too long ago. */
  readonly verify: boolean;
}

export interface PublishedMember {
  readonly name: MemberName;
  readonly cell: CellName;
  readonly id: ServerId | null;
  readonly generation: string;
  readonly addresses: AddressesByNetwork;
  readonly state: string;
}

export interface PreviewResult {
  readonly changes: Readonly<Record<string, number>>;
  readonly text: string;
}
