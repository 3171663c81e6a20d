import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { JobResult } from '../../test/mom/job.js';
import { count } from '../cli/table.js';
import type { CloudControl } from '../embedded/control.js';
import { leftOfJobs } from './leftovers.js';
import { demoLoad } from './load.js';
import { poolMax, poolMin } from './place.js';
import { playOut, submitAll, type PlayedJob } from './play.js';
import { costOf, liveScreen, resultTable } from './screen.js';
import type { Stage } from './stage.js';
import { demoUids, DemoWorker } from './worker.js';

const shrinkLimitMs = 120_000;

/** A mixed load of jobs of three users on a worker with the real hooks; the pool grows for them and shrinks. */
export class JobsDemo {
  #jobs: readonly PlayedJob[] = [];

  constructor(private readonly stage: Stage) {}

  /** Resolves with everything that is not as it should be. */
  async run(): Promise<readonly string[]> {
    const { stage } = this;
    const { view, terminal } = stage;
    const control = await stage.openCloud();
    const pulumi = await stage.bringUpPool();
    const url = await stage.startService();
    const worker = await DemoWorker.start(stage.place, url);
    stage.owns(async () => {
      await worker.stop();
      return [];
    });
    view.line(
      `worker: hooks installed for ${String(poolMax)} processors; users ${Object.keys(worker.users).join(', ')}`,
    );
    const follower = stage.follow(url, (status) =>
      liveScreen(status, this.#jobs, (id) => worker.mom.state(id), stage.journal, terminal.paint, Date.now()),
    );
    try {
      await stage.untilStatus(
        'the pool takes over its shape and its first VM is Free',
        90_000,
        (status) => status.counts.free >= poolMin,
      );
      const refused = await worker.nodeCheck();
      view.line(`node check: ${refused === '' ? 'Torque may send jobs' : refused}`);
      const problems = [
        ...(refused === '' ? [] : [`the node check said: ${refused}`]),
        ...(await this.#play(worker, control)),
        ...(await this.#shrink()),
      ];
      follower.stop();
      view.settle();
      terminal.out(`\n${resultTable(this.#jobs, stage.journal, terminal.paint)}\n`);
      const status = await follower.status();
      const left = leftOfJobs(status, await control.servers(), worker, demoUids);
      view.line(
        left.length === 0
          ? 'left over of the jobs: nothing (VMs, accounts, files, processes, leases, spool)'
          : `left over of the jobs: ${count(left.length, 'thing')}`,
      );
      return [
        ...problems,
        ...left.map((what) => `left over of the jobs: ${what}`),
        ...(await stage.preview(pulumi, status)),
      ];
    } finally {
      follower.stop();
    }
  }

  /** What each job cost and what came of it, for programs. */
  costs(): readonly object[] {
    return this.#jobs.map((played) => {
      const { result = null, problems = [] } = played.outcome ?? {};
      const cost = costOf(played, this.stage.journal, Date.now());
      return {
        id: played.id,
        user: played.job.user,
        what: played.job.what,
        ...cost,
        starts: result?.starts ?? null,
        exitStatus: result?.exitStatus ?? null,
        problems,
      };
    });
  }

  async #play(worker: DemoWorker, control: CloudControl): Promise<readonly string[]> {
    this.#jobs = submitAll(demoLoad(worker), worker);
    this.stage.view.line(`${count(this.#jobs.length, 'job')} of three users submitted`);
    const killVmOf = async (job: string): Promise<void> => {
      const vm = this.stage.journal.vmOf(job);
      if (vm === null) throw new Error(`job ${job} is on no VM`);
      this.stage.view.line(`VM ${vm} of job ${job} is made to die`);
      await control.order(vm, { do: 'die', status: 'SHUTOFF' });
    };
    await playOut(this.#jobs, worker, killVmOf, this.stage.signal, ({ id, job, outcome }) => {
      this.#keepOutput(id, outcome?.result ?? null);
      const how = outcome?.result == null ? 'no end' : `exit ${String(outcome.result.exitStatus)}`;
      const verdict =
        outcome?.problems.length === 0 ? 'as expected' : `WRONG: ${outcome?.problems.join('; ') ?? ''}`;
      this.stage.view.line(`job ${id} (${job.user}, ${job.what}): ${how}, ${verdict}`);
    });
    return this.#jobs.flatMap(({ id, outcome }) =>
      (outcome?.problems ?? []).map((problem) => `job ${id}: ${problem}`),
    );
  }

  /** For a look at them afterwards (--keep). */
  #keepOutput(id: string, result: JobResult | null): void {
    if (result === null) return;
    writeFileSync(join(this.stage.place.jobsDirectory, `${id}.out`), result.stdout, { mode: 0o600 });
    writeFileSync(join(this.stage.place.jobsDirectory, `${id}.err`), result.stderr, { mode: 0o600 });
  }

  async #shrink(): Promise<readonly string[]> {
    this.stage.view.line(`all jobs are over; the pool shrinks to ${count(poolMin, 'VM')}`);
    try {
      await this.stage.untilStatus(
        'the pool shrinks to its minimum',
        shrinkLimitMs,
        ({ members, counts, cells }) =>
          members.length === poolMin &&
          counts.free === poolMin &&
          counts.waiting === 0 &&
          cells.every((cell) => !cell.running),
      );
      this.stage.view.line('the pool is at its minimum');
      return [];
    } catch (error) {
      this.stage.signal.throwIfAborted();
      return [error instanceof Error ? error.message : String(error)];
    }
  }
}
