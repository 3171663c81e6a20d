import type { ServerView } from '../cloud/port.js';
import type { Book } from '../pool/book.js';
import type { LeaseId, MemberName, ServerId } from '../pool/model.js';

/** One stack of a cell as its state and the engine's files say. */
export interface StackFacts {
  readonly stack: string;
  readonly cell: string;
  readonly instances: readonly { readonly member: MemberName; readonly serverId: ServerId }[];
  /** Why the state cannot be read, and its file in a `file://` backend. `torn`: the service puts that right. */
  readonly broken: { readonly why: string; readonly path: string | null; readonly torn: boolean } | null;
  /** Names whose create was lost; null when that list is damaged. */
  readonly lost: readonly MemberName[] | null;
  readonly lostPath: string;
}

export type MarkerFacts =
  | {
      readonly kind: 'read';
      readonly lease: LeaseId | null;
      readonly job: string | null;
      readonly worker: string | null;
      readonly authentic: boolean;
    }
  | { readonly kind: 'silent'; readonly why: string };

/** Everything that is compared. What could not be looked at says why, and nothing is concluded from it. */
export interface Facts {
  readonly pool: string;
  /** Wall-clock milliseconds. */
  readonly now: number;
  readonly stateDir: string;
  /** The state directory's own word; null when the file is not there. */
  readonly installation: string | null;
  readonly book:
    | { readonly kind: 'read'; readonly book: Book; readonly running: boolean }
    | { readonly kind: 'none' }
    | {
        readonly kind: 'unusable';
        readonly why: string;
        readonly copies: readonly string[];
        readonly running: boolean;
      };
  /** Files that others may read or write. */
  readonly openFiles: readonly { readonly path: string; readonly mode: number; readonly wanted: number }[];
  readonly cloud:
    | {
        readonly kind: 'listed';
        /** Every server with the pool's name, of whatever installation. */
        readonly servers: readonly ServerView[];
        readonly complete: boolean;
        /** Members that the listing left out, looked at by id: null when Nova knows no such server. */
        readonly looked: Readonly<Record<string, ServerView | null>>;
      }
    | { readonly kind: 'unknown'; readonly why: string };
  readonly stacks: readonly StackFacts[];
  /** Workers that the configuration names. */
  readonly workers: readonly string[];
  readonly markers: Readonly<Record<string, MarkerFacts>>;
}

export type Repair =
  | { readonly kind: 'mode'; readonly path: string; readonly mode: number }
  | { readonly kind: 'installation'; readonly installation: string }
  | { readonly kind: 'book-from-copy' }
  | {
      readonly kind: 'lost-list';
      readonly stack: string;
      readonly path: string;
      readonly names: readonly string[];
    };

/**
 * One difference in plain words.
 * - `itself`: the running service puts it right
 * - `repair`: `vmpool doctor --repair` does
 * - `operator`: somebody has to decide or do something
 */
export interface Difference {
  readonly who: 'itself' | 'repair' | 'operator';
  /** What it is about: a VM, a job, a stack, a worker, `store` or `cloud`. */
  readonly about: string;
  readonly what: string;
  /** What follows, or what to do. */
  readonly next: string;
  readonly repair?: Repair;
}
