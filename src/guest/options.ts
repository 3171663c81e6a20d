import type { Mount } from './mounts.js';

export interface GuestLimits {
  /** Lowest uid of a job's user, and of its groups unless `gidMin` says otherwise. */
  readonly uidMin: number;
  readonly gidMin: number;
  /** For the connection by TCP, and again for handshake and login, in ms. */
  readonly connectMs: number;
  readonly keepaliveMs: number;
  /** Time limits of whole calls, in ms, waiting and connecting included. */
  readonly probeMs: number;
  readonly contractMs: number;
  readonly stageMs: number;
  readonly baselineMs: number;
  readonly scrubMs: number;
  readonly handshakesAtOnce: number;
  /** Free space that the contract asks for on / and /tmp. */
  readonly minFreeMiB: number;
  /** How far a VM's clock may be off, in ms. */
  readonly clockSkewMs: number;
  /** So much less free space than at the baseline is a finding. */
  readonly spaceMarginMiB: number;
  /** Findings reported at most. */
  readonly maxFindings: number;
}

export const defaultGuestLimits: GuestLimits = {
  uidMin: 1000,
  gidMin: 1000,
  connectMs: 10_000,
  keepaliveMs: 150_000,
  probeMs: 15_000,
  contractMs: 30_000,
  stageMs: 60_000,
  baselineMs: 120_000,
  scrubMs: 240_000,
  handshakesAtOnce: 16,
  minFreeMiB: 64,
  clockSkewMs: 5 * 60_000,
  spaceMarginMiB: 512,
  maxFindings: 100,
};

export interface GuestOptions {
  /** `root`, or an account with sudo that asks for neither password nor tty. */
  readonly adminUser: string;
  /** Read again for every connection, so that a changed key needs no restart. */
  readonly privateKeyFile: string;
  /** `console`: a VM whose keys are not known is not spoken to. `first-sight`: they are learned from it, once. */
  readonly hostKeyPolicy: 'console' | 'first-sight';
  /** Accounts of the image, besides root and the administrator, that keep their own authorized_keys. */
  readonly keepLogins?: readonly string[];
  readonly stateDir: string;
  /** Behind the seal of the markers. With another one, markers written before are no proof any more. */
  readonly markerSecret: Buffer | string;
  readonly limits?: Partial<GuestLimits>;
  /** File systems that the site wants on its VMs. */
  readonly mounts?: readonly Mount[];
  /** The site's variables for every job. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Wall-clock time in ms. */
  readonly clock: { now(): number };
  readonly log: (message: string, about: Readonly<Record<string, unknown>>) => void;
}
