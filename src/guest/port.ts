import type { JobLimits, Measured } from '../pool/measured.js';
import type { Endpoint, HostKey, JobUser, LeaseId, LeaseKey, MemberName } from '../pool/model.js';

/** A VM as the guest part reaches it. */
export interface GuestTarget {
  readonly member: MemberName;
  readonly endpoint: Endpoint;
  /** Empty: not known yet, and only a `pin: 'first-sight'` policy may then learn them. */
  readonly hostKeys: readonly HostKey[];
}

/** What stands in the root-owned marker file on a VM: whose it is at the moment. */
export interface Marker {
  readonly lease: LeaseId;
  readonly key: LeaseKey;
  readonly user: JobUser;
  /** Sealed by this service for this very VM. What is not says whom the VM claims to serve, and proves nothing. */
  readonly authentic: boolean;
}

/** Which step failed. */
interface Silence {
  readonly ok: false;
  readonly step: 'tcp' | 'host-key' | 'login' | 'command';
  readonly why: string;
}

export type KnockResult = { readonly ok: true } | Silence;

export type ProbeResult =
  | {
      readonly ok: true;
      /** The keys that the server proved to own. */
      readonly hostKeys: readonly HostKey[];
      readonly marker: Marker | null;
      /** The guest's boot id: another one than before means that it was rebooted. */
      readonly bootId: string;
      /** What the marker's lease has used so far; null or absent where nothing measures it. */
      readonly measured?: Measured | null;
    }
  | Silence;

/** Things that the guest image's contract asks for and this VM lacks, by name. Empty: all is there. */
export type ContractResult =
  { readonly ok: true } | { readonly ok: false; readonly missing: readonly string[] };

export interface StageOrder {
  readonly lease: LeaseId;
  readonly key: LeaseKey;
  readonly user: JobUser;
  /** OpenSSH public key made by the worker for this lease alone. */
  readonly publicKey: string;
  /** Written for the job, root-owned and readable by it; no secrets. */
  readonly environment: Readonly<Record<string, string>>;
  /** The VM ends the job beyond them. */
  readonly limits?: JobLimits | undefined;
}

export type StageResult =
  | { readonly ok: true }
  /** `refused`: the VM is fine, the order cannot be met there (uid held by another name). */
  | { readonly ok: false; readonly kind: 'unreachable' | 'refused' | 'foreign-marker'; readonly why: string };

export type ScrubResult =
  | { readonly ok: true; readonly measured?: Measured | null }
  | {
      readonly ok: false;
      /** `dirty`: the verification found what the scrub had left. */
      readonly kind: 'unreachable' | 'dirty' | 'foreign-marker';
      readonly why: string;
      readonly findings: readonly string[];
      /** What the lease has used on the VM; null or absent where nothing was measured, or is not yet known. */
      readonly measured?: Measured | null;
    };

/**
 * SSH into VMs as the pool's administrator: one warm connection for each VM. Every call has its own time
 * limit besides the signal. None throws for what a VM does; they throw only for misuse.
 */
export interface Guest {
  /**
   * Does anything listen where its SSH server should? The one thing that can be asked of a VM whose host keys are not
   * known. One that answered once is not asked again until it is forgotten: newer sshds hold it against a caller.
   */
  knock(target: GuestTarget, signal: AbortSignal): Promise<KnockResult>;
  /** TCP, host key, login, a command; reads the marker. */
  probe(target: GuestTarget, signal: AbortSignal): Promise<ProbeResult>;
  /** Is all there that the image's contract asks for? */
  contract(target: GuestTarget, signal: AbortSignal): Promise<ContractResult>;
  /** Takes and keeps the VM's baseline: what it looks like before its first job. */
  takeBaseline(target: GuestTarget, signal: AbortSignal): Promise<{ ok: true } | { ok: false; why: string }>;
  /** Marker first, then account, authorised key, environment. Idempotent for the same lease. */
  stage(target: GuestTarget, order: StageOrder, signal: AbortSignal): Promise<StageResult>;
  /**
   * Removes everything of that lease and verifies the VM against its baseline by other code.
   * `lease: null` scrubs whatever is there of a VM that bears no marker. Any other marker than that of the lease
   * answers `foreign-marker`, and nothing is touched: a job may be running. The marker goes last.
   */
  scrub(target: GuestTarget, lease: LeaseId | null, signal: AbortSignal): Promise<ScrubResult>;
  /**
   * What that lease has used, for a VM that is not scrubbed after it. Ends the measuring. Null where nothing was measured
   * or the VM does not tell.
   */
  measure(target: GuestTarget, lease: LeaseId, signal: AbortSignal): Promise<Measured | null>;
  /** Drops the connection and the baseline of a member that is gone. */
  forget(member: MemberName): Promise<void>;
  /**
   * Drops connections and baselines of everybody else: for the start, before any other call, because members may
   * have left while no service ran.
   */
  keepOnly(members: readonly MemberName[]): Promise<void>;
  close(): Promise<void>;
}

/** Host keys as printed on a console log, or null when it holds none. */
export type HostKeysFromConsole = (log: string) => readonly HostKey[] | null;
