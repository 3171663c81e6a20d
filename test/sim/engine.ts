import type { CellMember, CellState, CellWish, EngineEvent, FoundCell } from '../../src/engine/port.js';
import type { CellName, MemberName, ServerId } from '../../src/pool/model.js';
import type { Agenda } from './agenda.js';
import type { SimCloud } from './cloud.js';
import type { Faults } from './faults.js';
import { Random, seedFor } from './random.js';

interface CellFile {
  readonly instances: Map<MemberName, ServerId>;
  /** Creates that a killed run left unconfirmed: never tried again under that name. */
  readonly lost: Set<MemberName>;
  /** What the instances were after earlier runs, the newest first: Pulumi's copies. */
  copies: readonly ReadonlyMap<MemberName, ServerId>[];
}

const keptCopies = 3;

export interface RunResult {
  readonly ok: boolean;
  readonly state: CellState | null;
  readonly message: string | null;
}

/** One `up`. It may outlive the service that began it. */
export class SimRun {
  ended = false;
  pending = 0;
  failed: string | null = null;
  /** Creates begun and not confirmed. */
  readonly begun = new Set<MemberName>();

  constructor(
    readonly wish: CellWish,
    readonly onEvent: (event: EngineEvent) => void,
    readonly onEnd: (result: RunResult) => void,
  ) {}
}

/** Pulumi as the engine port shows it: slow, killable, with a state of its own. */
export class SimEngine {
  private readonly files = new Map<CellName, CellFile>();
  private readonly runs = new Map<CellName, SimRun>();
  private readonly random: Random;

  constructor(
    private readonly agenda: Agenda,
    private readonly cloud: SimCloud,
    private readonly faults: Faults,
    seed: number,
    private readonly createLimitMs: number,
  ) {
    this.random = new Random(seedFor(seed, 'engine'));
  }

  private file(cell: CellName): CellFile {
    let file = this.files.get(cell);
    if (file === undefined) {
      file = { instances: new Map(), lost: new Set(), copies: [] };
      this.files.set(cell, file);
    }
    return file;
  }

  /** What it finds in its backend. */
  cells(): FoundCell[] {
    return [...this.files].map(([cell, { instances }]) => ({ cell, instances: [...instances.keys()] }));
  }

  instances(): { member: MemberName; serverId: ServerId }[] {
    return [...this.files.values()].flatMap((f) =>
      [...f.instances].map(([member, serverId]) => ({ member, serverId })),
    );
  }

  /** `kill -9` of an `up`: what it had begun and not confirmed is in no state. */
  kill(run: SimRun): void {
    if (run.ended) return;
    run.ended = true;
    const file = this.file(run.wish.cell);
    for (const name of run.begun) file.lost.add(name);
    this.runs.delete(run.wish.cell);
  }

  /** A new service ends the `up`s of the one before it. */
  killAll(): void {
    for (const run of [...this.runs.values()]) this.kill(run);
  }

  converge(wish: CellWish, onEvent: (event: EngineEvent) => void, onEnd: (r: RunResult) => void): SimRun {
    const earlier = this.runs.get(wish.cell);
    if (earlier !== undefined) throw new Error(`two runs of cell ${wish.cell} at once`);
    const run = new SimRun(wish, onEvent, onEnd);
    this.runs.set(wish.cell, run);
    if (this.faults.strikes('engine-killed')) {
      this.agenda.after(this.random.between(0, 20_000), () => {
        if (run.ended) return;
        this.kill(run);
        run.onEnd({ ok: false, state: null, message: 'the engine process was killed' });
      });
    }
    this.agenda.after(this.random.between(500, 2_000), () => this.begin(run));
    return run;
  }

  private begin(run: SimRun): void {
    if (run.ended) return;
    const { wish } = run;
    const file = this.file(wish.cell);
    if (this.faults.strikes('engine-fails')) {
      run.failed = 'the backend does not answer';
      this.finish(run, true);
      return;
    }
    if (this.faults.strikes('state-torn')) this.putBack(run, file);
    run.pending = 1;
    for (const member of wish.members) {
      if (file.instances.has(member.name)) continue;
      if (member.made) file.lost.add(member.name);
      if (!file.lost.has(member.name)) this.createOne(run, file, member);
    }
    for (const name of wish.retire) this.removeOne(run, file, name);
    this.stepDone(run);
  }

  /** An earlier copy, or none, takes the place of a torn state; what is not in it and may have been made is lost. */
  private putBack({ wish, onEvent }: SimRun, file: CellFile): void {
    const copy = this.random.pick(file.copies) ?? new Map<MemberName, ServerId>();
    file.instances.clear();
    for (const [name, id] of copy) file.instances.set(name, id);
    for (const name of [...wish.members.map((member) => member.name), ...wish.retire])
      if (!copy.has(name)) file.lost.add(name);
    onEvent({
      type: 'statePutBack',
      cell: wish.cell,
      message: 'an earlier copy took the place of its state',
    });
  }

  private stepDone(run: SimRun): void {
    run.pending -= 1;
    if (run.pending === 0) this.finish(run, false);
  }

  private finish(run: SimRun, nothing: boolean): void {
    this.agenda.after(this.random.between(200, 1_000), () => {
      if (run.ended) return;
      run.ended = true;
      this.runs.delete(run.wish.cell);
      const file = this.file(run.wish.cell);
      file.copies = [new Map(file.instances), ...file.copies].slice(0, keptCopies);
      const named = new Set([...run.wish.members.map((m) => m.name), ...run.wish.retire]);
      const state: CellState = {
        instances: [...file.instances].map(([member, serverId]) => ({ member, serverId })),
        lostCreates: [...file.lost].filter((name) => named.has(name)),
        unlisted: [...file.instances.keys()].filter((name) => !named.has(name)),
      };
      run.onEnd({ ok: run.failed === null, state: nothing ? null : state, message: run.failed });
    });
  }

  private tell(run: SimRun, event: EngineEvent): void {
    if (!this.faults.strikes('engine-event-lost')) run.onEvent(event);
  }

  private createOne(run: SimRun, file: CellFile, member: CellMember): void {
    const { cell } = run.wish;
    run.pending += 1;
    this.agenda.after(this.random.between(0, 1_500), () => {
      if (run.ended) return;
      const answer = this.cloud.create(member, cell);
      if (!answer.ok) {
        run.failed = answer.message;
        this.tell(run, { type: 'createFailed', cell, member: member.name, message: answer.message });
        this.stepDone(run);
        return;
      }
      run.begun.add(member.name);
      const { server } = answer;
      const began = this.agenda.now;
      const poll = (): void => {
        if (run.ended) return;
        const late = this.agenda.now - began > this.createLimitMs;
        if (!server.gone && server.status === 'BUILD' && !late) {
          this.agenda.after(3_000, poll);
          return;
        }
        run.begun.delete(member.name);
        const fails = this.faults.strikes('create-report-fails');
        if (server.gone || server.status !== 'ACTIVE' || fails) {
          run.failed = `${member.name} became ${server.gone ? 'gone' : server.status}`;
          // The provider had its id: the failed instance is in the state, to be deleted from there.
          if (!server.gone) file.instances.set(member.name, server.id);
          this.tell(run, { type: 'createFailed', cell, member: member.name, message: run.failed });
        } else {
          file.instances.set(member.name, server.id);
          this.tell(run, {
            type: 'created',
            cell,
            member: member.name,
            serverId: server.id,
            addresses: { net0: [server.host] },
          });
        }
        this.stepDone(run);
      };
      this.agenda.after(10_000, poll);
    });
  }

  private removeOne(run: SimRun, file: CellFile, name: MemberName): void {
    const id = file.instances.get(name);
    if (id === undefined) return;
    run.pending += 1;
    this.agenda.after(this.random.between(200, 1_500), () => {
      if (run.ended) return;
      if (!this.cloud.delete(id, 'engine')) {
        run.failed = `could not delete ${name}: 503`;
        this.tell(run, { type: 'removeFailed', cell: run.wish.cell, member: name, message: run.failed });
        this.stepDone(run);
        return;
      }
      this.agenda.after(this.random.between(10_000, 13_000), () => {
        if (run.ended) return;
        file.instances.delete(name);
        this.tell(run, { type: 'removed', cell: run.wish.cell, member: name });
        this.stepDone(run);
      });
    });
  }
}
