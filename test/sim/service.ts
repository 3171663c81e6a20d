import type { StoreFiles } from '../../src/store/files.js';
import { recoverStore } from '../../src/store/recover.js';
import { StoreError } from '../../src/store/port.js';
import { BookKeeper } from '../../src/service/book-keeper.js';
import { poolClock, type Clock } from '../../src/service/clock.js';
import { bookFormat } from '../../src/pool/book-schema.js';
import { bookPath, openBook, StartError } from '../../src/service/open-book.js';
import type { Book, Context, Note, State } from '../../src/pool/book.js';
import { emptyBook, emptySight } from '../../src/pool/book.js';
import type { InstallationId, Shape } from '../../src/pool/model.js';
import type { Policy } from '../../src/pool/policy.js';
import type { Outcome, PoolEvent, Stepped } from '../../src/pool/step.js';
import type { Work } from '../../src/pool/work.js';
import { quietLog } from '../support/quiet-log.js';
import type { Agenda } from './agenda.js';
import type { SimCloud } from './cloud.js';
import type { SimDisk } from './disk.js';
import { stateDir } from './disk.js';
import type { SimEngine } from './engine.js';
import { Executor, type Employer } from './executor.js';
import type { Faults } from './faults.js';
import { Random, seedFor } from './random.js';
import { Violation } from './rules.js';

/** The functional core, or a mutant of it. */
export interface Core {
  step(state: State, event: PoolEvent, c: Context): Stepped;
  workOf(state: State, c: Context): Work[];
  /** The file system under the store, where the mutant is one of the store. */
  readonly files?: (files: StoreFiles) => StoreFiles;
}

export interface Watcher {
  /** After every step of the core, before anything is durable. */
  stepped(before: State, event: PoolEvent, after: Stepped): void;
  /** What the log and the history get. */
  told(notes: readonly Note[]): void;
  /** With `forgetful`: an operator had to put the store back from a copy, or to begin from nothing. */
  restarted(book: Book, forgetful: boolean): void;
  /** About to be looked at by id, as the second look before a delete. */
  lookedAt(server: string): void;
}

/** What the site gives the service. */
export interface Surroundings {
  readonly installation: InstallationId;
  readonly pool: string;
  readonly policy: () => Policy;
  readonly workers: readonly string[];
  /** What the pool's stack publishes. */
  readonly shape: () => Shape | null;
}

/**
 * The service: its real book-keeper, clock, store and recovery on a simulated disk, with effects in a simulated
 * world. It may be killed between any two steps of any of them.
 */
export class SimService implements Employer {
  up = false;
  steps = 0;
  /** Pool time at which it last came up: limits cannot be kept by a service that is down. */
  upSince = 0;
  /** The first thing that went wrong inside a promise, where nobody else would hear of it. */
  broken: Error | null = null;
  private keeper: BookKeeper | null = null;
  private clock: Clock | null = null;
  private readonly busy = new Set<string>();
  /** Work of a killed service must not report to the next one. */
  private lives = 0;
  private pumping = false;
  private wallOffset = 0;
  private forgetful = false;
  private readonly random: Random;
  private readonly executor: Executor;
  private readonly unanswered = new Set<() => void>();

  constructor(
    private readonly core: Core,
    private readonly agenda: Agenda,
    private readonly faults: Faults,
    private readonly disk: SimDisk,
    private readonly cloud: SimCloud,
    private readonly engine: SimEngine,
    private readonly site: Surroundings,
    private readonly watcher: Watcher,
    seed: number,
  ) {
    this.random = new Random(seedFor(seed, 'service'));
    const lookedAt = (server: string): void => watcher.lookedAt(server);
    this.executor = new Executor(this, agenda, faults, cloud, engine, this.random, lookedAt);
    this.begin();
    this.tick();
    this.watch();
    this.readQuota();
    this.readShape();
  }

  /** Pool time. */
  now(): number {
    return this.clock?.now() ?? this.agenda.now;
  }

  context(): Context {
    return {
      now: this.now(),
      suffix: () => this.random.between(0, 46655).toString(36).padStart(4, '0'),
      policy: this.site.policy(),
      workers: this.site.workers,
    };
  }

  private nothing(): State {
    return { book: emptyBook(this.site.installation, this.site.pool, this.agenda.now), sight: emptySight };
  }

  state(): State {
    return this.keeper?.newest() ?? this.nothing();
  }

  durable(): State {
    return this.keeper?.durable() ?? this.nothing();
  }

  /** Work begun and not ended, by key. */
  underWay(): ReadonlySet<string> {
    return this.busy;
  }

  /** Somebody, or a wrong time server, sets the clock of the service's machine. */
  setWallClock(offsetMs: number): void {
    this.wallOffset = offsetMs;
  }

  private wall(): number {
    return this.agenda.now + this.wallOffset;
  }

  private fail(error: unknown): void {
    this.broken ??= error instanceof Error ? error : new Error(JSON.stringify(error));
  }

  /** The answer comes when the event's result is durable: null when it never will. */
  dispatch(event: PoolEvent, answer: (outcome: Outcome | null) => void = () => undefined): void {
    if (!this.up || this.keeper === null) {
      answer(null);
      return;
    }
    const give = (outcome: Outcome | null): void => {
      if (!this.unanswered.delete(dropped)) return;
      try {
        answer(outcome);
      } catch (error) {
        this.fail(error);
      }
    };
    const dropped = (): void => give(null);
    this.unanswered.add(dropped);
    this.keeper.dispatch(event).then(give, (error: unknown) => {
      if (!(error instanceof StoreError)) this.fail(error);
      give(null);
    });
  }

  private tick(): void {
    this.agenda.after(1_000, () => {
      if (this.up) {
        this.dispatch({ type: 'tick' });
        this.pump();
        // At any moment of what the tick has set going.
        if (this.faults.strikes('service-crash'))
          this.agenda.after(this.random.between(0, 40), () => this.crash(false));
        if (this.faults.strikes('power-cut'))
          this.agenda.after(this.random.between(0, 40), () => this.crash(true));
      }
      this.tick();
    });
  }

  private watch(): void {
    this.agenda.after(5_000, () => {
      if (this.up) {
        const listing = this.cloud.list();
        if (listing === null) this.dispatch({ type: 'cloudFailed', why: '503', restMs: this.cloud.restMs() });
        else {
          const alive = this.life();
          this.agenda.after(this.random.between(10, 2_000), () => {
            if (alive()) this.dispatch({ type: 'listed', ...listing });
          });
        }
      }
      this.watch();
    });
  }

  private readQuota(): void {
    this.agenda.after(this.random.between(30_000, 240_000), () => {
      const quota = this.up ? this.cloud.readQuota() : null;
      if (quota !== null) this.dispatch({ type: 'quota', quota, flavor: { vcpus: 1, ramMiB: 1 } });
      this.readQuota();
    });
  }

  private readShape(): void {
    this.agenda.after(60_000, () => {
      this.adopt();
      this.readShape();
    });
  }

  private adopt(): void {
    const shape = this.site.shape();
    if (shape !== null) this.dispatch({ type: 'adopt', shape });
  }

  /** `kill -9`, or the machine's power is cut: of the commits under way any part may have reached the disk. */
  crash(powerCut: boolean): void {
    if (!this.up) return;
    this.up = false;
    this.lives += 1;
    this.busy.clear();
    if (powerCut) {
      this.disk.powerCut();
      this.engine.killAll();
    } else this.disk.processDies();
    // Callers see their connection end, whether the commit reached the disk or not.
    for (const dropped of [...this.unanswered]) dropped();
    this.agenda.after(this.random.between(500, 60_000), () => this.begin());
  }

  private begin(): void {
    this.start().catch((error: unknown) => {
      if (!(error instanceof StoreError)) {
        this.fail(error);
        return;
      }
      // The disk refuses; a supervisor tries again.
      this.disk.processDies();
      this.agenda.after(5_000, () => this.begin());
    });
  }

  private async start(): Promise<void> {
    this.engine.killAll();
    await this.trouble();
    const owner = { stateDir, pool: this.site.pool, hostKeys: 'console' } as const;
    const clock = { now: () => this.wall() };
    const { store, book } = await openBook(
      owner,
      this.site.installation,
      quietLog,
      clock,
      this.disk.open(),
    ).catch((error: unknown) => {
      if (error instanceof StartError) throw new Violation('the store can be read', error.message);
      throw error;
    });
    this.clock = poolClock(book.at, { wall: () => this.wall(), monotonic: () => this.agenda.now });
    this.keeper = new BookKeeper(
      book,
      store,
      () => this.context(),
      (notes) => this.watcher.told(notes),
      quietLog,
      (before, event, c) => this.decide(before, event, c),
    );
    this.keeper.watch(() => this.pump());
    this.up = true;
    this.upSince = this.now();
    const { forgetful } = this;
    this.forgetful = false;
    this.watcher.restarted(book, forgetful);
    this.dispatch({ type: 'tick' });
    this.adopt();
    this.lookForCells();
  }

  private lookForCells(): void {
    const alive = this.life();
    this.agenda.after(2_000, () => {
      if (alive()) this.dispatch({ type: 'cellsFound', cells: this.engine.cells() });
    });
  }

  private decide(before: State, event: PoolEvent, c: Context): Stepped {
    try {
      const stepped = this.core.step(before, event, c);
      this.steps += 1;
      this.watcher.stepped(before, event, stepped);
      return stepped;
    } catch (error) {
      this.fail(error);
      throw error;
    }
  }

  /** What befell the store while the service was down, and what an operator did about it with `vmpool recover`. */
  private async trouble(): Promise<void> {
    const recover = async (from: 'backup' | 'cloud'): Promise<boolean> => {
      const path = bookPath(stateDir);
      const clock = { now: () => this.wall() };
      let result: Awaited<ReturnType<typeof recoverStore>> | null = null;
      // Where the disk refuses, the operator gives the same order again.
      while (result === null)
        result = await recoverStore({
          path,
          journalSince: bookFormat.journalSince,
          from,
          clock,
          files: this.disk.open(),
        }).catch((error: unknown) => {
          if (!(error instanceof Error && 'code' in error)) throw error;
          this.disk.processDies();
          return null;
        });
      if (result.kind === 'recovered') this.forgetful = true;
      return result.kind === 'recovered';
    };
    const rotten = this.faults.strikes('store-rots') ? this.disk.rot() : 'none';
    if (rotten === 'cut') this.forgetful = true;
    else if (rotten === 'damaged') {
      if (this.random.chance(0.3) || !(await recover('backup'))) await recover('cloud');
    } else if (this.faults.strikes('store-lost')) await recover('cloud');
    else if (this.faults.strikes('store-restored')) await recover('backup');
  }

  life(): () => boolean {
    const { lives } = this;
    return () => lives === this.lives;
  }

  done(item: Work): void {
    this.busy.delete(item.key);
    this.pump();
  }

  private pump(): void {
    if (!this.up || this.pumping) return;
    this.pumping = true;
    try {
      for (const item of this.core.workOf(this.durable(), this.context())) {
        if (this.busy.has(item.key)) continue;
        this.busy.add(item.key);
        this.executor.carryOut(item);
      }
    } catch (error) {
      this.fail(error);
    } finally {
      this.pumping = false;
    }
  }
}
