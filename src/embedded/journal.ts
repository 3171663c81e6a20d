/** One API call as the cloud saw it. */
export interface JournalEntry {
  readonly at: number;
  readonly service: string;
  readonly method: string;
  /** Path below the service, with its query. */
  readonly path: string;
  /** 0 while unanswered or when the connection was cut. */
  status: number;
  durationMs: number;
  /** `REGION/INTERFACE` of the catalog's address that was called, where each has its own; else empty. */
  readonly door: string;
  /** Whose token it was; null without one. */
  user: string | null;
  project: string | null;
  /** How that token was got: Keystone's first method. */
  auth: string | null;
}

/** The last calls, for tests that count them. */
export class Journal {
  readonly #entries: JournalEntry[] = [];

  constructor(readonly limit = 20_000) {}

  add(entry: JournalEntry): void {
    this.#entries.push(entry);
    if (this.#entries.length > this.limit) this.#entries.splice(0, this.#entries.length - this.limit);
  }

  list(filter: { method?: string; path?: RegExp; service?: string } = {}): JournalEntry[] {
    return this.#entries.filter(
      (entry) =>
        (!filter.method || entry.method === filter.method) &&
        (!filter.service || entry.service === filter.service) &&
        (!filter.path || filter.path.test(entry.path)),
    );
  }

  clear(): void {
    this.#entries.length = 0;
  }
}
