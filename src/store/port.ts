/**
 * Keeps one document durable. `commit` may be called again before an earlier one has resolved: commits are
 * grouped, the newest document wins, and each promise resolves when a document at least as new is on disk.
 * A committed document must not be changed afterwards: it is serialised when its group's turn comes.
 */
export interface Store<T> {
  /**
   * Durable: written, fsynced, renamed, directory fsynced. Rejects with a `StoreError` when the disk refuses;
   * then the last good document, or this one, is on disk whole, and a later commit may succeed.
   */
  commit(document: T): Promise<void>;
  /** Waits for what is under way and gives up ownership. Idempotent. */
  close(): Promise<void>;
}

/** The disk refused a commit. `code` is the system's (`ENOSPC`), or null. */
export class StoreError extends Error {
  constructor(
    message: string,
    readonly code: string | null,
  ) {
    super(message);
    this.name = 'StoreError';
  }
}

export type OpenResult<T> =
  | {
      readonly kind: 'opened';
      readonly store: Store<T>;
      readonly document: T;
      /**
       * An operator put an earlier copy back: the document may lack members, requests and leases that were
       * answered for. True until the first commit.
       */
      readonly restored: boolean;
      /** Its last commit is there in part only: a crash, or somebody cut the file off. True until the first commit. */
      readonly cutOff: boolean;
    }
  /** No store there yet: `document` is the initial one, not yet written. */
  | { readonly kind: 'created'; readonly store: Store<T>; readonly document: T }
  /** Another process owns it (`host` tells on which machine). */
  | { readonly kind: 'owned'; readonly pid: number; readonly path: string; readonly host: string }
  /** The file is there and cannot be understood; it has not been touched. */
  | { readonly kind: 'damaged'; readonly path: string; readonly why: string; readonly howToRecover: string };

/** Append-only history in rotated files of JSON lines; loss of the newest lines in a crash is acceptable. */
export interface History {
  append(entry: { readonly at: number; readonly kind: string } & Readonly<Record<string, unknown>>): void;
  close(): Promise<void>;
}
