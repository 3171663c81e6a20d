import type { Book, Context, State } from '../../src/pool/book.js';
import { emptyBook, emptySight } from '../../src/pool/book.js';
import type { MemberName } from '../../src/pool/model.js';
import type { Policy } from '../../src/pool/policy.js';
import { distrust } from '../../src/pool/restore.js';
import type { Outcome, PoolEvent, Stepped } from '../../src/pool/step.js';
import type { Work } from '../../src/pool/work.js';
import type { Agenda } from './agenda.js';
import type { SimCloud } from './cloud.js';
import type { SimEngine } from './engine.js';
import type { Faults } from './faults.js';
import { guestOf, probeGuest, scrubGuest, stageGuest, welcomeGuest } from './guest.js';
import { Random, seedFor } from './random.js';

/** The functional core, or a mutant of it. */
export interface Core {
  step(state: State, event: PoolEvent, c: Context): Stepped;
  workOf(state: State, c: Context): Work[];
}

export interface Watcher {
  /** After every step of the core, before anything is durable. */
  stepped(before: State, event: PoolEvent, after: Stepped): void;
  restarted(book: Book): void;
}

interface Commit {
  readonly book: Book;
  readonly answer: (ok: boolean) => void;
}

/** The service around the core: event, step, commit, effects; it may be killed between any two of them. */
export class SimService {
  up = true;
  steps = 0;
  /** When it last came up: limits cannot be kept by a service that is down. */
  upSince: number;
  private current: State;
  private durableBook: Book;
  private commits: Commit[] = [];
  private readonly busy = new Set<string>();
  /** Work of a killed service must not report to the next one. */
  private life = 0;
  private pumping = false;
  private readonly random: Random;
  private readonly archive: Book[] = [];

  constructor(
    book: Book,
    private readonly core: Core,
    private readonly agenda: Agenda,
    private readonly faults: Faults,
    private readonly cloud: SimCloud,
    private readonly engine: SimEngine,
    private readonly policy: () => Policy,
    private readonly workers: readonly string[],
    private readonly watcher: Watcher,
    seed: number,
  ) {
    this.random = new Random(seedFor(seed, 'service'));
    this.current = { book, sight: emptySight };
    this.durableBook = book;
    this.upSince = agenda.now;
    this.tick();
    this.watch();
  }

  context(): Context {
    return {
      now: Math.max(this.agenda.now, this.durableBook.at),
      suffix: () => this.random.between(0, 46655).toString(36).padStart(4, '0'),
      policy: this.policy(),
      workers: this.workers,
    };
  }

  state(): State {
    return this.current;
  }

  durable(): State {
    return { book: this.durableBook, sight: this.current.sight };
  }

  /** Work begun and not ended, by key. */
  underWay(): ReadonlySet<string> {
    return this.busy;
  }

  /** The answer comes when the event's result is durable: null when it never will. */
  dispatch(event: PoolEvent, answer: (outcome: Outcome | null) => void = () => undefined): void {
    if (!this.up) {
      answer(null);
      return;
    }
    const before = this.current;
    const stepped = this.core.step(before, event, this.context());
    this.current = stepped.state;
    this.steps += 1;
    this.watcher.stepped(before, event, stepped);
    if (stepped.state.book === this.durableBook && this.commits.length === 0) {
      answer(stepped.outcome);
      this.pump();
      return;
    }
    const life = this.life;
    this.commits.push({
      book: this.current.book,
      answer: (ok) => answer(ok && life === this.life ? stepped.outcome : null),
    });
    if (this.commits.length === 1) this.writeSoon();
  }

  private writeSoon(): void {
    const life = this.life;
    this.agenda.after(this.random.between(1, 15), () => {
      if (life !== this.life) return;
      const group = this.commits;
      this.commits = [];
      const refused = this.faults.strikes('commit-fails');
      const newest = group.at(-1);
      if (newest !== undefined && !refused) this.keep(newest.book);
      for (const { answer } of group) answer(!refused);
      if (this.commits.length > 0) this.writeSoon();
      this.pump();
    });
  }

  private keep(book: Book): void {
    this.durableBook = book;
    if (this.steps % 50 === 0) {
      this.archive.push(book);
      if (this.archive.length > 20) this.archive.shift();
    }
  }

  private tick(): void {
    this.agenda.after(1_000, () => {
      if (this.up) {
        this.dispatch({ type: 'tick' });
        if (this.faults.strikes('service-crash')) this.crash();
      }
      this.tick();
    });
  }

  private watch(): void {
    this.agenda.after(5_000, () => {
      if (this.up) {
        const listing = this.cloud.list();
        if (listing === null) this.dispatch({ type: 'cloudFailed', why: '503' });
        else {
          const life = this.life;
          this.agenda.after(this.random.between(10, 2_000), () => {
            if (life === this.life) this.dispatch({ type: 'listed', ...listing });
          });
        }
      }
      this.watch();
    });
  }

  /** `kill -9`: of the commits under way any number may have reached the disk. */
  crash(): void {
    if (!this.up) return;
    const reached = this.random.between(0, this.commits.length);
    const last = this.commits[reached - 1];
    if (last !== undefined) this.durableBook = last.book;
    const unanswered = this.commits;
    this.commits = [];
    this.up = false;
    this.life += 1;
    this.busy.clear();
    // Callers see their connection end, whether the commit reached the disk or not.
    for (const { answer } of unanswered) answer(false);
    this.agenda.after(this.random.between(500, 60_000), () => this.restart());
  }

  private restart(): void {
    this.engine.killAll();
    if (this.faults.strikes('store-lost')) {
      const { installation, pool, shape } = this.durableBook;
      this.durableBook = { ...emptyOf(this.durableBook, this.agenda.now), installation, pool, shape };
    } else if (this.faults.strikes('store-restored')) {
      this.durableBook = distrust(this.random.pick(this.archive) ?? this.durableBook, this.agenda.now, true);
    }
    this.current = { book: this.durableBook, sight: emptySight };
    this.up = true;
    this.upSince = this.agenda.now;
    this.watcher.restarted(this.durableBook);
    this.dispatch({ type: 'tick' });
  }

  private pump(): void {
    if (!this.up || this.pumping) return;
    this.pumping = true;
    for (const item of this.core.workOf(this.durable(), this.context())) {
      if (this.busy.has(item.key)) continue;
      this.busy.add(item.key);
      this.start(item);
    }
    this.pumping = false;
  }

  /** After `ms` the effect happens, and its outcome is told unless the service died meanwhile. */
  private later(item: Work, ms: number, effect: () => PoolEvent | null, restMs = 0): void {
    const life = this.life;
    // Of a service that is killed, calls under way may still reach the world.
    const reachesAnyway = this.random.chance(0.5);
    this.agenda.after(ms, () => {
      if (life !== this.life) {
        if (reachesAnyway && ms < 3_000 && !this.up) effect();
        return;
      }
      const event = effect();
      const free = (): void => {
        if (life !== this.life) return;
        this.busy.delete(item.key);
        this.pump();
      };
      if (event === null) this.agenda.after(2_000, free);
      else
        this.dispatch(event, () => {
          if (restMs > 0) this.agenda.after(restMs, free);
          else free();
        });
    });
  }

  private start(item: Work): void {
    const { cloud, faults } = this;
    const quick = (): number => this.random.between(20, 1_500);
    switch (item.kind) {
      case 'welcome':
        this.later(item, quick(), () => ({
          type: 'welcomed',
          member: item.member,
          result: welcomeGuest(guestOf(cloud, item.target)),
        }));
        return;
      case 'probe':
        this.later(item, quick(), () => ({
          type: 'probed',
          member: item.member,
          result: probeGuest(guestOf(cloud, item.target), item.target.hostKeys),
        }));
        return;
      case 'stage':
        this.later(item, quick(), () => ({
          type: 'staged',
          lease: item.order.lease,
          result: stageGuest(guestOf(cloud, item.target), item.order, faults),
        }));
        return;
      case 'scrub':
        this.later(item, this.random.between(200, 4_000), () => {
          const guest = guestOf(cloud, item.target);
          const result = scrubGuest(guest, item.lease, faults);
          const bootId = result.ok && guest !== null ? `boot-${guest.boot}` : null;
          return { type: 'scrubbed', member: item.member, result, bootId };
        });
        return;
      case 'rebuild':
        this.rebuild(item);
        return;
      case 'look':
      case 'end':
        this.later(item, quick(), () => {
          const view = cloud.look(item.server);
          if (view === undefined) return null;
          if (view !== null && item.kind === 'end' && !cloud.delete(item.server, 'nova')) return null;
          return { type: 'looked', member: item.member, id: item.server, view };
        });
        return;
      case 'endStray':
        this.later(item, quick(), () => {
          const view = cloud.look(item.server);
          if (view === undefined) return null;
          if (view === null) return { type: 'strayGone', id: item.server };
          cloud.delete(item.server, 'stray');
          return null;
        });
        return;
      case 'converge':
        this.converge(item);
        return;
    }
  }

  private rebuild(item: Extract<Work, { kind: 'rebuild' }>): void {
    const life = this.life;
    const { member, server: id } = item;
    const ends = this.agenda.now + 300_000;
    const tell = (event: PoolEvent): void =>
      this.dispatch(event, () => {
        if (life !== this.life) return;
        this.busy.delete(item.key);
        this.pump();
      });
    const poll = (): void => {
      if (life !== this.life) return;
      const view = this.cloud.look(id);
      if (view === null || view?.status === 'ERROR') tell({ type: 'looked', member, id, view });
      else if (view?.status === 'ACTIVE') tell({ type: 'rebuilt', member });
      else if (view === undefined || this.agenda.now > ends) tell(unreachableScrub(member));
      else this.agenda.after(1_000, poll);
    };
    this.agenda.after(this.random.between(20, 1_500), () => {
      if (life !== this.life) return;
      if (this.cloud.rebuild(id)) this.agenda.after(1_000, poll);
      else tell(unreachableScrub(member));
    });
  }

  private converge(item: Extract<Work, { kind: 'converge' }>): void {
    const life = this.life;
    const alive = (): boolean => life === this.life;
    this.dispatch({ type: 'runBegan', cell: item.wish.cell });
    this.engine.converge(
      item.wish,
      (event) => {
        if (alive()) this.dispatch({ type: 'engine', event });
      },
      (result) => {
        if (!alive()) return;
        this.dispatch({ type: 'runEnded', wish: item.wish, result }, () => {
          if (!alive()) return;
          this.busy.delete(item.key);
          this.pump();
        });
      },
    );
  }
}

function unreachableScrub(member: MemberName): PoolEvent {
  return {
    type: 'scrubbed',
    member,
    bootId: null,
    result: { ok: false, kind: 'unreachable', why: 'the rebuild was refused', findings: [] },
  };
}

function emptyOf(book: Book, now: number): Book {
  return { ...emptyBook(book.installation, book.pool, now), shape: book.shape };
}
