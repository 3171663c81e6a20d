import type { Cloud } from '../cloud/port.js';
import { CloudError } from '../cloud/port.js';
import type { CellWish, Engine } from '../engine/port.js';
import type { Context } from '../pool/book.js';
import type { Millis } from '../pool/model.js';
import { gatherMs, wishOf } from '../pool/planner.js';
import type { PoolEvent } from '../pool/step.js';
import type { Work } from '../pool/work.js';
import { mostProbesASecond, welcomeEveryMs, workOf } from '../pool/work.js';
import { StoreError } from '../store/port.js';
import type { BookKeeper } from './book-keeper.js';
import type { GuestParts } from './guest-work.js';
import { probeWith, welcome } from './guest-work.js';
import type { Log } from './log.js';

export interface ExecutorParts extends GuestParts {
  readonly keeper: BookKeeper;
  readonly engine: Engine;
  readonly cloud: Cloud;
  readonly context: () => Context;
  readonly log: Log;
  /** Keeps the console log of a VM that failed to come up. */
  readonly onConsole: (member: string, text: string) => void;
  /** Cells converged side by side. */
  readonly maxCells: () => number;
}

type RoutineProbe = readonly [since: Millis, probe: Work];

interface Running {
  readonly kind: Work['kind'];
  readonly abort: AbortController;
  readonly done: Promise<void>;
  /** Work of another kind waits for its end. */
  awaited: boolean;
}

/** The end of a console log tells why a boot failed. */
const consoleLines = 200;
const consoleLimitMs = 20_000;
/** A rebuild is given this long to come back to ACTIVE before it is looked at again. */
const rebuildLimitMs = 300_000;
const rebuildPollMs = 1_000;

/**
 * Does what `workOf` says, each key by one run at a time, and reports what came of it. It decides nothing:
 * whatever is lost here is found again at the next look.
 */
export class Executor {
  private readonly running = new Map<string, Running>();
  /** VMs whose console has been asked for, and those of which the cloud has not answered yet. */
  private readonly consoles = new Set<string>();
  private readonly consolesAwaited = new Set<string>();
  private stopped = false;
  /** Routine probes that may start now, and when that was counted. */
  private probes = { left: mostProbesASecond, at: 0 };
  /** Looks that are to come, by the milliseconds after which. */
  private readonly coming = new Set<Millis>();
  private readonly ended = new AbortController();
  private scheduled = false;

  constructor(private readonly parts: ExecutorParts) {}

  /** Looks for work soon; many calls in a row are one look. */
  kick(): void {
    if (this.scheduled || this.stopped) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      if (!this.stopped) this.look();
    });
  }

  /** Looks again then, sooner than the next tick would, for what no event tells of. */
  private lookIn(ms: Millis): void {
    if (this.coming.has(ms)) return;
    this.coming.add(ms);
    void this.parts.clock.sleep(ms, this.ended.signal).then(() => {
      this.coming.delete(ms);
      this.kick();
    });
  }

  /** A burst of new members has to be gathered first. */
  private lookAfterGathering(): void {
    const { keeper, context } = this.parts;
    const { now } = context();
    const members = keeper.durable().book.members.values();
    if (members.some((m) => m.engine === 'planned' && now - m.bornAt < gatherMs)) this.lookIn(gatherMs);
  }

  /**
   * What the console of a VM that never came up had to say is kept in the history before the VM is deleted: the
   * only witness of most failed boots.
   */
  private keepConsoles(): void {
    for (const member of this.parts.keeper.durable().book.members.values()) {
      const failed = member.state.kind === 'Unusable' && ['error', 'deleting'].includes(member.state.reason);
      if (!failed || member.bootId !== null || member.server === null) continue;
      if (this.consoles.has(member.name)) continue;
      this.consoles.add(member.name);
      this.consolesAwaited.add(member.name);
      const id = member.server.id;
      void this.parts.cloud
        .consoleLog(id, consoleLines, AbortSignal.timeout(consoleLimitMs))
        .then((text) => {
          this.parts.onConsole(member.name, text);
        })
        .catch((error: unknown) => {
          const why = error instanceof Error ? error.message : String(error);
          this.parts.onConsole(member.name, `(the console log could not be read: ${why})`);
        })
        .finally(() => {
          this.consolesAwaited.delete(member.name);
          this.kick();
        });
    }
    const { members } = this.parts.keeper.durable().book;
    for (const name of this.consoles) if (!members.has(name)) this.consoles.delete(name);
  }

  private look(): void {
    const { keeper, context } = this.parts;
    this.keepConsoles();
    this.lookAfterGathering();
    const routine: RoutineProbe[] = [];
    for (const item of workOf(keeper.durable(), context())) {
      const run = this.running.get(item.key);
      if (run !== undefined) {
        run.awaited ||= run.kind !== item.kind;
        continue;
      }
      if (item.kind === 'converge' && !this.mayConverge(item.wish)) continue;
      // With the server its console goes. An update by Pulumi takes seconds before it deletes anything.
      if (item.kind === 'end' && this.consolesAwaited.has(item.member)) continue;
      if (item.kind === 'probe' && item.routineSince !== null) routine.push([item.routineSince, item]);
      else this.start(item);
    }
    this.startRoutine(routine);
  }

  /**
   * VMs that were asked at the same moment, as after a start, are due again at the same moment: those that were asked
   * longest ago go first, and no more at once than in the two seconds between quiet looks, so that jobs never wait behind
   * a thousand probes.
   */
  private startRoutine(due: RoutineProbe[]): void {
    const { now } = this.parts.context();
    const { left, at } = this.probes;
    const allowed = Math.min(2 * mostProbesASecond, left + ((now - at) / 1_000) * mostProbesASecond);
    const going = due.sort(([a], [b]) => a - b).slice(0, Math.floor(allowed));
    this.probes = { left: allowed - going.length, at: now };
    for (const [, item] of going) this.start(item);
  }

  /**
   * A cell is locked for ten seconds and more once it runs, so a run that would miss a member already decided,
   * but not yet durable, waits the few milliseconds for its commit.
   */
  private mayConverge(wish: CellWish): boolean {
    if (this.cellsRunning() >= this.parts.maxCells()) return false;
    const newest = wishOf(this.parts.keeper.newest(), wish.cell);
    const names = (w: CellWish): string => [...w.members.map((m) => m.name), '', ...w.retire].join();
    return names(newest) === names(wish);
  }

  private cellsRunning(): number {
    let n = 0;
    for (const key of this.running.keys()) if (key.startsWith('cell/')) n += 1;
    return n;
  }

  private start(item: Work): void {
    const abort = new AbortController();
    const done = this.run(item, abort.signal)
      .catch((error: unknown) => {
        if (!abort.signal.aborted)
          this.parts.log.error(
            { err: error, work: item.kind, key: item.key },
            'work failed in an unforeseen way',
          );
        return this.failed(item, error instanceof Error ? error.message : String(error), abort.signal);
      })
      .catch((error: unknown) =>
        this.parts.log.error({ err: error, key: item.key }, 'the outcome of work could not be kept'),
      )
      .finally(() => {
        this.running.delete(item.key);
        // Nothing follows from most probes, and a large pool has many a second.
        if (item.kind !== 'probe' || run.awaited) this.kick();
      });
    const run: Running = { kind: item.kind, abort, done, awaited: false };
    this.running.set(item.key, run);
  }

  /**
   * Ends everything under way and waits for it, at most `ms`; updates of cells may end by themselves for `cellsMs`
   * before that, because a create that is cut off is lost to its stack.
   */
  async stop(cellsMs: number, ms: number): Promise<void> {
    this.stopped = true;
    this.ended.abort();
    const cells = [...this.running].filter(([key]) => key.startsWith('cell/')).map(([, run]) => run);
    for (const [key, { abort }] of this.running) if (!key.startsWith('cell/')) abort.abort();
    await this.within(cellsMs, cells);
    for (const { abort } of this.running.values()) abort.abort();
    await this.within(ms, [...this.running.values()]);
  }

  private async within(ms: number, runs: readonly { readonly done: Promise<void> }[]): Promise<void> {
    const limit = new AbortController();
    const all = Promise.allSettled(runs.map((r) => r.done));
    await Promise.race([all, this.parts.clock.sleep(ms, limit.signal)]);
    limit.abort();
  }

  /** A commit that the disk refuses is no failure of the work: the event stands and is durable with a later one. */
  private async tell(event: PoolEvent): Promise<void> {
    await this.parts.keeper.dispatch(event).catch((error: unknown) => {
      if (!(error instanceof StoreError)) throw error;
    });
  }

  /** So that failed work keeps its distance before it is tried again. */
  private async failed(item: Work, why: string, signal: AbortSignal): Promise<void> {
    // Cut off by a stop: that says nothing of the VM or the cloud.
    if (signal.aborted) return;
    switch (item.kind) {
      case 'welcome':
        await this.tell({ type: 'welcomed', member: item.member, result: { kind: 'silent', why } });
        return;
      case 'stage':
        await this.tell({
          type: 'staged',
          lease: item.order.lease,
          result: { ok: false, kind: 'unreachable', why },
        });
        return;
      case 'scrub':
      case 'rebuild':
        await this.tell({
          type: 'scrubbed',
          member: item.member,
          bootId: null,
          result: { ok: false, kind: 'unreachable', why, findings: [] },
        });
        return;
      case 'measure':
        await this.tell({ type: 'measured', member: item.member, lease: item.lease, measured: null });
        return;
      case 'converge':
        await this.tell({
          type: 'runEnded',
          wish: item.wish,
          result: { ok: false, state: null, message: why },
        });
        return;
      case 'look':
      case 'end':
      case 'endStray':
        await this.tell({ type: 'cloudFailed', why });
        await this.parts.clock.sleep(2_000, signal);
        return;
      case 'probe':
        // Not the VM's fault: the probe could not even be tried.
        await this.parts.clock.sleep(2_000, signal);
        return;
    }
  }

  private async run(item: Work, signal: AbortSignal): Promise<void> {
    const { guest, cloud, engine } = this.parts;
    switch (item.kind) {
      case 'welcome': {
        const result = await welcome(this.parts, item.target, item.server, signal);
        if (signal.aborted) return;
        await this.tell({ type: 'welcomed', member: item.member, result });
        // A timer may be a millisecond early by the clock.
        if (result.kind === 'silent') this.lookIn(welcomeEveryMs + 1);
        return;
      }
      case 'probe': {
        const result = await probeWith(this.parts, item.target, item.server, signal);
        if (signal.aborted) return;
        await this.tell({ type: 'probed', member: item.member, result });
        return;
      }
      case 'stage': {
        const result = await guest.stage(item.target, item.order, signal);
        if (signal.aborted) return;
        await this.tell({ type: 'staged', lease: item.order.lease, result });
        return;
      }
      case 'scrub': {
        const result = await guest.scrub(item.target, item.lease, signal);
        // A reboot during the job is no news after its scrub.
        const probe = result.ok ? await guest.probe(item.target, signal) : null;
        if (signal.aborted) return;
        await this.tell({
          type: 'scrubbed',
          member: item.member,
          result,
          bootId: probe?.ok === true ? probe.bootId : null,
        });
        return;
      }
      case 'measure': {
        const { member, target, lease } = item;
        const measured = await guest.measure(target, lease, signal);
        if (!signal.aborted) await this.tell({ type: 'measured', member, lease, measured });
        return;
      }
      case 'rebuild':
        await this.rebuild(item, signal);
        return;
      case 'look': {
        const view = await cloud.server(item.server, signal);
        await this.tell({ type: 'looked', member: item.member, id: item.server, view });
        return;
      }
      case 'end': {
        const view = await cloud.server(item.server, signal);
        if (view !== null) await this.deleteServer(item.server, signal);
        await this.tell({ type: 'looked', member: item.member, id: item.server, view });
        return;
      }
      case 'endStray': {
        const view = await cloud.server(item.server, signal);
        if (view === null) await this.tell({ type: 'strayGone', id: item.server });
        else await this.deleteServer(item.server, signal);
        await this.parts.clock.sleep(2_000, signal);
        return;
      }
      case 'converge': {
        await this.tell({ type: 'runBegan', cell: item.wish.cell });
        const result = await engine.converge(
          item.wish,
          (event) => void this.tell({ type: 'engine', event }).catch(() => undefined),
          signal,
        );
        if (signal.aborted && result.state === null) return;
        await this.tell({
          type: 'runEnded',
          wish: item.wish,
          result: result.ok
            ? { ok: true, state: result.state, message: null }
            : { ok: false, state: result.state, message: result.message },
        });
        return;
      }
    }
  }

  private async deleteServer(id: Parameters<Cloud['deleteServer']>[0], signal: AbortSignal): Promise<void> {
    try {
      await this.parts.cloud.deleteServer(id, signal);
    } catch (error) {
      // Nova is at work on it: the next look decides.
      if (!(error instanceof CloudError && error.kind === 'conflict')) throw error;
    }
  }

  private async rebuild(item: Extract<Work, { kind: 'rebuild' }>, signal: AbortSignal): Promise<void> {
    const { cloud, clock, guest } = this.parts;
    const { member, server, image } = item;
    // A rebuild ends whatever runs there: not before the VM itself has been asked whose it is, if it can answer.
    const probe = item.target === null ? null : await guest.probe(item.target, signal);
    if (probe?.ok === true && probe.marker !== null && probe.marker.lease !== item.lease) {
      const why = `it bears the marker of lease ${probe.marker.lease}`;
      const result = { ok: false, kind: 'foreign-marker', why, findings: [] } as const;
      await this.tell({ type: 'scrubbed', member, bootId: null, result });
      return;
    }
    if (probe?.ok === true && item.target !== null && item.lease !== null) {
      const measured = await guest.measure(item.target, item.lease, signal);
      await this.tell({ type: 'measured', member, lease: item.lease, measured });
    }
    await cloud.rebuildServer(server, image, signal);
    await guest.forget(member);
    const end = clock.now() + rebuildLimitMs;
    while (!signal.aborted && clock.now() < end) {
      await clock.sleep(rebuildPollMs, signal);
      const view = await cloud.server(server, signal);
      if (view === null || view.status === 'ERROR') {
        await this.tell({ type: 'looked', member, id: server, view });
        return;
      }
      if (view.status === 'ACTIVE' && view.taskState === null) {
        await this.tell({ type: 'rebuilt', member });
        return;
      }
    }
    throw new Error(`the rebuild did not come back to ACTIVE within ${rebuildLimitMs / 1000} s`);
  }
}
