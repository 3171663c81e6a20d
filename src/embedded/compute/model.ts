import type { Machine } from '../machines.js';
import type { Flavor } from '../options.js';

export type ServerStatus =
  | 'BUILD'
  | 'ACTIVE'
  | 'ERROR'
  | 'SHUTOFF'
  | 'PAUSED'
  | 'SUSPENDED'
  | 'REBOOT'
  | 'HARD_REBOOT'
  | 'REBUILD'
  | 'RESIZE'
  | 'VERIFY_RESIZE'
  | 'RESCUE'
  | 'SHELVED_OFFLOADED'
  | 'DELETED';

export interface ActionEvent {
  readonly event: string;
  readonly startAt: number;
  finishAt: number | null;
  result: string | null;
}

/** One line of a server's action log (os-instance-actions). */
export interface ServerAction {
  readonly action: string;
  readonly requestId: string;
  readonly userId: string;
  readonly projectId: string;
  readonly startAt: number;
  updatedAt: number;
  message: string | null;
  readonly events: ActionEvent[];
}

export interface Server {
  readonly id: string;
  name: string;
  readonly projectId: string;
  readonly userId: string;
  status: ServerStatus;
  taskState: string | null;
  flavor: Flavor;
  /** The flavor before a resize that is not confirmed yet. */
  formerFlavor: Flavor | undefined;
  /** Null for a server booted from a volume. */
  imageId: string | null;
  metadata: Record<string, string>;
  tags: string[];
  description: string | null;
  readonly keyName: string | null;
  readonly configDrive: boolean;
  userData: string | undefined;
  readonly createdAt: number;
  updatedAt: number;
  launchedAt: number | null;
  terminatedAt: number | null;
  fault: { message: string; code: number; created: number } | undefined;
  locked: boolean;
  lockedReason: string | null;
  readonly availabilityZone: string;
  securityGroups: string[];
  readonly serverGroupId: string | undefined;
  readonly actions: ServerAction[];
  machine: Machine | undefined;
  /** Cancels of the timers that move it on. */
  readonly timers: Set<() => void>;
  /** Counts orders that change what runs, so that a late step of an older one does nothing. */
  epoch: number;
}

export interface KeyPair {
  readonly name: string;
  readonly userId: string;
  readonly type: 'ssh' | 'x509';
  readonly publicKey: string;
  readonly fingerprint: string;
  readonly createdAt: number;
}

export interface ServerGroup {
  readonly id: string;
  readonly name: string;
  readonly policy: string;
  readonly rules: Readonly<Record<string, number>>;
  readonly projectId: string;
  readonly userId: string;
  readonly members: string[];
}

const VM_STATES: Readonly<Record<ServerStatus, string>> = {
  BUILD: 'building',
  ACTIVE: 'active',
  ERROR: 'error',
  SHUTOFF: 'stopped',
  PAUSED: 'paused',
  SUSPENDED: 'suspended',
  REBOOT: 'active',
  HARD_REBOOT: 'active',
  REBUILD: 'active',
  RESIZE: 'active',
  VERIFY_RESIZE: 'resized',
  RESCUE: 'rescued',
  SHELVED_OFFLOADED: 'shelved_offloaded',
  DELETED: 'deleted',
};

export function vmState(server: Pick<Server, 'status'>): string {
  return VM_STATES[server.status];
}

/** Nova's numbers: 0 unknown, 1 running, 3 paused, 4 shut down, 7 suspended. */
export function powerState(server: Pick<Server, 'status'>): number {
  switch (server.status) {
    case 'BUILD':
    case 'ERROR':
    case 'DELETED':
      return 0;
    case 'PAUSED':
      return 3;
    case 'SHUTOFF':
    case 'SHELVED_OFFLOADED':
      return 4;
    case 'SUSPENDED':
      return 7;
    default:
      return 1;
  }
}
