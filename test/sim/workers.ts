import { compareAttempts, leaseIdOf } from '../../src/pool/ids.js';
import type { Ask } from '../../src/pool/leases.js';
import type { Attempt, LeaseId, LeaseKey } from '../../src/pool/model.js';
import type { Outcome, PoolEvent } from '../../src/pool/step.js';
import { leaseView } from '../../src/pool/views.js';
import type { Agenda } from './agenda.js';
import type { SimCloud, SimGuest } from './cloud.js';
import type { Faults } from './faults.js';
import type { Oracle } from './oracle.js';
import { Random, seedFor } from './random.js';
import { secretOf } from './secrets.js';
import type { SimService } from './service.js';

export interface Job {
  readonly id: string;
  readonly durationMs: number;
  starts: number;
  worker: SimWorker;
  /** The attempt that the mom knows of. */
  current: Run | null;
  done: boolean;
}

/** How long the starter waits, as its prologue says it; those of an earlier version say nothing. */
export const maxWaitOf = ({ attempt }: LeaseKey): number | undefined =>
  attempt.pid % 3 === 0 ? undefined : (attempt.pid % 7) * 60_000;

/** One attempt: prologue, job starter, epilogue. Each may go on after the mom has forgotten it. */
export interface Run {
  readonly job: Job;
  readonly key: LeaseKey;
  readonly id: LeaseId;
  starterAlive: boolean;
  prologueAlive: boolean;
  /** The epilogue has run, or the mom will never run it: the mom no longer lists the attempt. */
  over: boolean;
}

/** One Torque node with its hooks. */
export class SimWorker {
  boot = 1;
  private pid = 1000;
  readonly runs = new Set<Run>();
  readonly jobs: Job[] = [];

  constructor(
    readonly name: string,
    private readonly site: Site,
  ) {}

  nextAttempt(start: number): Attempt {
    this.pid += 1;
    return { start, boot: `${this.name}-${this.boot}`, pid: this.pid, ticks: this.site.agenda.now };
  }

  /** Every job that lives here, as the mom lists them. */
  living(): string[] {
    const ids: string[] = [];
    for (const run of this.runs) if (!run.over) ids.push(run.job.id);
    return ids;
  }
}

/** The batch system: jobs, workers and their calls to the service. */
export class Site {
  readonly random: Random;
  readonly workers: SimWorker[] = [];
  readonly jobs: Job[] = [];

  constructor(
    readonly agenda: Agenda,
    private readonly faults: Faults,
    private readonly cloud: SimCloud,
    private readonly service: SimService,
    private readonly oracle: Oracle,
    names: readonly string[],
    seed: number,
  ) {
    this.random = new Random(seedFor(seed, 'site'));
    for (const name of names) {
      const worker = new SimWorker(name, this);
      this.workers.push(worker);
      this.sync(worker);
    }
  }

  submit(n: number): void {
    const worker = this.random.pick(this.workers) as SimWorker;
    const durationMs = this.random.between(1_000, this.random.chance(0.2) ? 300_000 : 40_000);
    const job: Job = { id: `${n}.server`, durationMs, starts: 0, worker, current: null, done: false };
    this.jobs.push(job);
    this.begin(job);
  }

  /** Requests that a worker still waits for. */
  unfinished(): Job[] {
    return this.jobs.filter((j) => !j.done);
  }

  // ---- calls -------------------------------------------------------------------------------------------

  /** One HTTP call: may be lost, doubled, late, or its answer lost. */
  private call(event: () => PoolEvent, answer: (outcome: Outcome | null) => void): void {
    const { faults } = this;
    const give = (): number =>
      faults.strikes('call-overtaken') ? this.random.between(60, 4_000) : this.random.between(1, 60);
    const gaveUp = (): void => answer(null);
    if (faults.strikes('call-lost')) {
      this.agenda.after(5_000, gaveUp);
      return;
    }
    const first = event();
    if (faults.strikes('call-doubled'))
      this.agenda.after(this.random.between(1, 30_000), () => this.service.dispatch(first));
    if (faults.strikes('call-late')) {
      this.agenda.after(5_000, gaveUp);
      this.agenda.after(this.random.between(5_000, 90_000), () => this.service.dispatch(first));
      return;
    }
    this.agenda.after(give(), () => {
      this.service.dispatch(first, (outcome) => {
        const lost = outcome === null || faults.strikes('answer-lost');
        this.agenda.after(lost ? 3_000 : give(), () => answer(lost ? null : outcome));
      });
    });
  }

  private sync(worker: SimWorker): void {
    this.agenda.after(this.random.between(25_000, 35_000), () => {
      const jobs = worker.living();
      this.oracle.syncSent(worker.name, jobs);
      const takenAt = this.agenda.now;
      const lost = this.faults.strikes('call-lost');
      const delay = this.random.between(1, 400);
      this.agenda.after(delay, () => {
        const ageMs = this.agenda.now - takenAt;
        if (!lost) this.service.dispatch({ type: 'sync', worker: worker.name, jobs, ageMs });
      });
      this.sync(worker);
    });
  }

  // ---- the life of an attempt --------------------------------------------------------------------------

  private begin(job: Job): void {
    const { worker } = job;
    const again = job.starts > 0 && this.faults.strikes('same-start-again');
    if (!again) job.starts += 1;
    const key: LeaseKey = { worker: worker.name, job: job.id, attempt: worker.nextAttempt(job.starts) };
    const run: Run = { job, key, id: leaseIdOf(key), starterAlive: true, prologueAlive: true, over: false };
    job.current = run;
    worker.runs.add(run);
    if (this.faults.strikes('qdel-in-prologue')) {
      this.agenda.after(this.random.between(0, 4_000), () => {
        job.done = true;
        this.epilogue(run);
      });
    } else if (this.faults.strikes('requeued-beside')) {
      // The mom is killed and restarted: the old starter goes on, untracked, while the job starts again.
      this.agenda.after(this.random.between(0, 30_000), () => {
        if (run.over || job.current !== run) return;
        run.over = true;
        if (!this.faults.strikes('epilogue-lost', 0.5)) this.release(run, 0, null);
        job.current = null;
        this.agenda.after(2_000, () => this.begin(job));
      });
    }
    this.prologue(run, this.agenda.now + 20_000);
  }

  private prologue(run: Run, deadline: number): void {
    if (!run.prologueAlive) return;
    const ask = this.askOf(run);
    this.call(
      () => {
        this.oracle.askSent(run);
        return { type: 'ask', ask };
      },
      (outcome) => {
        if (!run.prologueAlive) return;
        if (outcome?.type === 'ask' && outcome.outcome.kind === 'accepted') {
          this.oracle.askAnswered(run);
          run.prologueAlive = false;
          this.agenda.after(this.random.between(1, 2_000), () => this.starter(run));
          return;
        }
        const stale =
          outcome?.type === 'ask' &&
          outcome.outcome.kind === 'refused' &&
          outcome.outcome.code === 'stale-attempt';
        if (!stale && this.agenda.now < deadline) {
          this.agenda.after(1_000, () => this.prologue(run, deadline));
          return;
        }
        run.prologueAlive = false;
        this.ended(run, true);
      },
    );
  }

  private askOf(run: Run): Ask {
    const user = { name: 'u', uid: 1000, gid: 1000, groups: [], home: '/home/u', shell: '/bin/sh' };
    const { key, id } = run;
    const maxWaitMs = maxWaitOf(key);
    return {
      ...{ key, user, publicKey: secretOf(id), processors: 1, queue: 'batch', jobName: 'j' },
      ...(maxWaitMs === undefined ? {} : { maxWaitMs }),
    };
  }

  /** The job starter waits until the lease is ready, then runs the job on the VM. */
  private starter(run: Run): void {
    if (!run.starterAlive) return;
    if (!this.faults.strikes('call-lost') && this.service.up) {
      this.service.dispatch({ type: 'poll', id: run.id });
      const view = leaseView(this.service.durable(), run.id);
      this.oracle.polled(run, view?.state ?? null);
      if (view?.state !== 'granted' && view?.state !== 'waiting') {
        this.ended(run, true);
        return;
      }
      if (view.ready && view.vm !== null) {
        this.oracle.sawReady(run, view.vm.member);
        const { host } = view.vm;
        this.agenda.after(this.random.between(10, 3_000), () => this.connect(run, host, 3));
        return;
      }
    }
    this.agenda.after(this.random.between(500, 10_000), () => this.starter(run));
  }

  private connect(run: Run, host: string, tries: number): void {
    if (!run.starterAlive) return;
    const guest = this.cloud.reach(host);
    if (guest === null && tries > 0) {
      this.agenda.after(5_000, () => this.connect(run, host, tries - 1));
      return;
    }
    if (guest?.staged !== run.id) {
      this.ended(run, true);
      return;
    }
    this.oracle.jobStarts(run, guest, host);
    guest.traces.add(run.id);
    guest.running.set(run.id, { job: run.job.id, start: run.key.attempt.start });
    this.agenda.after(run.job.durationMs, () => this.finish(run, guest));
  }

  private finish(run: Run, guest: SimGuest): void {
    if (!run.starterAlive) return;
    const lived = guest.running.has(run.id);
    if (lived && !this.faults.strikes('leaves-processes')) guest.running.delete(run.id);
    this.ended(run, !lived);
  }

  /** The starter has exited: the mom runs the epilogue, and starts the job again when it asked for that. */
  private ended(run: Run, again: boolean): void {
    run.starterAlive = false;
    if (run.over) return;
    if (!again && run.job.current === run) run.job.done = true;
    this.epilogue(run);
  }

  private epilogue(run: Run): void {
    run.starterAlive = false;
    run.prologueAlive = false;
    if (run.over) return;
    const after = this.faults.strikes('epilogue-late') ? this.random.between(1_000, 30_000) : 50;
    this.agenda.after(after, () => {
      if (run.over) return;
      if (!this.faults.strikes('epilogue-lost')) {
        const holdFor = this.faults.strikes('copy-back-fails') ? 'the copy back failed' : null;
        this.release(run, 0, holdFor);
      }
      run.over = true;
      run.job.worker.runs.delete(run);
      if (this.faults.strikes('stale-hook'))
        this.agenda.after(this.random.between(1_000, 600_000), () => this.haunt(run));
      if (run.job.current === run) this.requeue(run.job);
    });
  }

  private release(run: Run, tries: number, holdFor: string | null): void {
    const { worker, job, attempt } = run.key;
    this.call(
      () => {
        this.oracle.releaseSent(worker, job, attempt);
        return { type: 'release', release: { worker, job, attempt, reason: 'epilogue', holdFor } };
      },
      (outcome) => {
        if (outcome !== null) this.oracle.releaseAnswered(run);
        else if (tries < 5) this.agenda.after(2_000, () => this.release(run, tries + 1, holdFor));
      },
    );
  }

  /** Hooks of an attempt that is long over: they ask, look and release as if it were theirs. */
  private haunt(run: Run): void {
    const { worker, job, attempt } = run.key;
    const [ask, reason] = [this.askOf(run), 'epilogue'];
    this.oracle.askSent(run);
    this.service.dispatch({ type: 'ask', ask }, (outcome) => {
      if (outcome?.type === 'ask' && outcome.outcome.kind === 'accepted') this.oracle.askAnswered(run);
      if (this.service.up) this.oracle.polled(run, leaseView(this.service.durable(), run.id)?.state ?? null);
      this.oracle.releaseSent(worker, job, attempt);
      const release = { worker, job, attempt, reason, holdFor: null };
      this.service.dispatch({ type: 'release', release });
    });
  }

  private requeue(job: Job): void {
    job.current = null;
    if (job.done) return;
    if (this.faults.strikes('moves-worker')) job.worker = this.random.pick(this.workers) as SimWorker;
    this.agenda.after(this.random.between(2_000, 10_000), () => {
      if (!job.done && job.current === null) this.begin(job);
    });
  }

  /** The worker's machine goes down: nothing of its hooks survives; its jobs are lost or start again. */
  crash(worker: SimWorker): void {
    worker.boot += 1;
    for (const run of [...worker.runs]) {
      run.starterAlive = false;
      run.prologueAlive = false;
      run.over = true;
      worker.runs.delete(run);
      const { job } = run;
      if (job.current !== run) continue;
      job.current = null;
      if (this.random.chance(0.3)) job.done = true;
      else this.requeue(job);
    }
  }

  /** Is `b` a later or rival start of what `a` started? Used by the oracle as well. */
  static supersedes(a: Attempt, b: Attempt): boolean {
    return compareAttempts(a, b) === 'older';
  }
}
