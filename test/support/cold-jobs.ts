import { join } from 'node:path';
import { expect } from '@jest/globals';
import type { DemoJob } from '../../src/demo/load.js';
import { playOut, submitAll } from '../../src/demo/play.js';
import type { UserName } from '../../src/demo/worker.js';
import { DemoWorker } from '../../src/demo/worker.js';
import { coldStartOf, coldStartTable, PortWatch, type ColdStart } from './cold-start.js';
import { patienceMs, type Story } from './openstack-story.js';

/** A Torque worker with `np` processors at the story's pool: sandbox, mom's double, the real hooks. */
export async function workerOf(story: Story, np: number): Promise<DemoWorker> {
  const { site, pool } = story;
  const place = { workerToken: site.tokens.worker, workerSandboxes: join(site.directory, 'sandboxes') };
  const as = {
    name: 'w1',
    token: site.tokens.worker,
    np,
    firstJob: 100,
    maxWaitSeconds: 1200,
    // The word of a job that cleans up has to come back from an emulated VM.
    killDelayMs: 30_000,
  };
  const worker = await DemoWorker.start(place, pool.url, as);
  story.atTheEnd(() => worker.stop());
  return worker;
}

/** Submits that many small jobs at once to a pool without VMs; the way of each to its first output, once all have ended. */
export async function coldJobs(
  story: Story,
  worker: DemoWorker,
  count: number,
): Promise<readonly ColdStart[]> {
  const { pool, lab } = story;
  const { mom } = worker;
  const user: UserName = 'alice';
  await pool.calm(0, 0);
  const watch = new PortWatch(() => pool.status());
  const submitted = Date.now();
  const jobs = Array.from({ length: count }, () => mom.submit({ user, script: '#!/bin/bash\necho began\n' }));
  const starts = await Promise.all(
    jobs.map(async (job) => {
      await mom.until(job, () => mom.stdout(job).includes('began'), 'its begin', patienceMs);
      const running = Date.now();
      const vm = pool.journal.times(job, running).vms[0] ?? '';
      const port = watch.first.get(vm) ?? Number.NaN;
      return coldStartOf(vm, pool.lines, await lab.times(vm), { submitted, port, running });
    }),
  );
  await watch.stop();
  for (const job of jobs) {
    const { exitStatus, starts: tries } = await mom.finished(job, patienceMs);
    if (exitStatus !== 0 || tries !== 1)
      throw new Error(
        `job ${job} ended with ${String(exitStatus)} after ${String(tries)} starts:\n${storyOf(story, worker, job)}`,
      );
  }
  return starts;
}

/** What hooks and service said of a job and of the VMs that it had, line by line. */
function storyOf({ pool }: Story, { mom }: DemoWorker, job: string): string {
  const { vms } = pool.journal.times(job, Date.now());
  const said = pool.lines
    .filter((line) => line.job === job || (line.vm !== undefined && vms.includes(line.vm)))
    .map(({ time, vm, event, msg }) => `${time} ${vm ?? '-'} ${event ?? ''} ${msg}`);
  return [mom.stderr(job), ...mom.starts(job).map((start) => JSON.stringify(start)), ...said].join('\n');
}

/** Prints the table and checks that every stage was seen. */
export function told(what: string, starts: readonly ColdStart[]): void {
  process.stderr.write(`\n${what}\n${coldStartTable(starts)}\n\n`);
  expect(starts.flatMap((start) => Object.values<unknown>({ ...start })).filter(Number.isNaN)).toEqual([]);
}

/** Plays jobs of the demo to their ends, all of which must be as they should. */
export async function played(
  story: Story,
  worker: DemoWorker,
  load: readonly DemoJob[],
): Promise<{ readonly killed: readonly string[]; readonly vms: readonly string[] }> {
  const { pool, lab } = story;
  const jobs = submitAll(load, worker);
  const killed: string[] = [];
  const killVmOf = async (job: string): Promise<void> => {
    const vm = pool.journal.vmOf(job) ?? '';
    killed.push(vm);
    lab.killVm(await lab.serverId(vm));
  };
  await playOut(jobs, worker, killVmOf, new AbortController().signal, () => undefined, 2 * patienceMs);
  expect(jobs.flatMap(({ id, outcome }) => (outcome?.problems ?? []).map((p) => `${id}: ${p}`))).toEqual([]);
  return { killed, vms: jobs.flatMap(({ id }) => pool.journal.times(id, Date.now()).vms) };
}
