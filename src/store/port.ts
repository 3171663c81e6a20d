/**
 * Keeps one document durable. `commit` may be called again before an earlier one has resolved: commits are
 * grouped, the newest document wins, and each promise resolves when a document at least as new is on disk.
 */
export interface Store<T> {
  /** Durable: written, fsynced, renamed, directory fsynced. Rejects (and keeps rejecting) when the disk refuses. */
  commit(document: T): Promise<void>;
  /** Waits for what is under way and gives up ownership. */
  close(): Promise<void>;
}

export type OpenResult<T> =
  | { readonly kind: 'opened'; readonly store: Store<T>; readonly document: T }
  /** No store there yet: `document` is the initial one, not yet written. */
  | { readonly kind: 'created'; readonly store: Store<T>; readonly document: T }
  /** Another process owns it. */
  | { readonly kind: 'owned'; readonly pid: number; readonly path: string }
  /** The file is there and cannot be understood; it has not been touched. */
  | { readonly kind: 'damaged'; readonly path: string; readonly why: string; readonly howToRecover: string };

/** Append-only history in rotated files of JSON lines; loss of the newest lines in a crash is acceptable. */
export interface History {
  append(entry: { readonly at: number; readonly kind: string } & Readonly<Record<string, unknown>>): void;
  close(): Promise<void>;
}
