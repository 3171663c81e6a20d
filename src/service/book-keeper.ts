import type { Book, Context, Note, State } from '../pool/book.js';
import { emptySight } from '../pool/book.js';
import type { Outcome, PoolEvent } from '../pool/step.js';
import { step } from '../pool/step.js';
import type { Store } from '../store/port.js';
import type { Log } from './log.js';

/**
 * Owns the pool's state: applies events one after the other and makes the book durable before anything is
 * answered or done. Work is derived from `durable()` only.
 */
export class BookKeeper {
  private current: State;
  private durableBook: Book;
  private readonly watchers = new Set<() => void>();
  private commitError: string | null = null;
  private readonly untold: Note[] = [];

  constructor(
    book: Book,
    private readonly store: Store<Book>,
    private readonly context: () => Context,
    private readonly onNotes: (notes: readonly Note[]) => void,
    private readonly log: Log,
    /** The functional core; the simulation puts its checker (or a broken core) in between. */
    private readonly decide: typeof step = step,
  ) {
    this.current = { book, sight: { ...emptySight, startedAt: context().now } };
    this.durableBook = book;
  }

  /** What has been committed, with what is seen now. */
  durable(): State {
    return { book: this.durableBook, sight: this.current.sight };
  }

  /** What has been decided, committed or not. Nothing may be done or told from it. */
  newest(): State {
    return this.current;
  }

  /** Why the store refuses to commit, or null. */
  storeProblem(): string | null {
    return this.commitError;
  }

  /** Called after each change of the durable state or of what is seen. Returns the way to stop watching. */
  watch(callback: () => void): () => void {
    this.watchers.add(callback);
    return () => this.watchers.delete(callback);
  }

  /**
   * Applies one event. Resolves when its result is durable; rejects when the disk refuses, in which case the
   * event's effect is still in memory and becomes durable with a later commit (every event is idempotent).
   */
  async dispatch(event: PoolEvent): Promise<Outcome> {
    const stepped = this.decide(this.current, event, this.context());
    const changed = stepped.state.book !== this.current.book;
    const seen = stepped.state.sight !== this.current.sight;
    this.current = stepped.state;
    this.untold.push(...stepped.notes);
    if (changed || this.durableBook !== this.current.book) await this.commit();
    else {
      this.tell();
      if (seen) this.notify();
    }
    return stepped.outcome;
  }

  /** History and log tell only of what is durable. */
  private tell(): void {
    if (this.untold.length === 0) return;
    this.onNotes(this.untold.splice(0));
  }

  private async commit(): Promise<void> {
    const book = this.current.book;
    try {
      await this.store.commit(book);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      if (this.commitError === null)
        this.log.error({ why }, 'the store refuses to commit; nothing is answered until it does');
      this.commitError = why;
      throw error;
    }
    if (this.commitError !== null) this.log.info({}, 'the store commits again');
    this.commitError = null;
    if (book === this.current.book) this.tell();
    // Commits are grouped and may resolve together: the newest one stands.
    if (book.at >= this.durableBook.at) this.durableBook = book;
    this.notify();
  }

  private notify(): void {
    for (const watcher of [...this.watchers]) watcher();
  }
}
