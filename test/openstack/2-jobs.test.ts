import { beforeAll, describe, expect } from '@jest/globals';
import { demoLoad } from '../../src/demo/load.js';
import { playOut, submitAll } from '../../src/demo/play.js';
import type { DemoWorker } from '../../src/demo/worker.js';
import { coldJobs, workerOf } from '../support/cold-jobs.js';
import { coldStartTable } from '../support/cold-start.js';
import { labNames } from '../support/openstack-lab.js';
import { patienceMs, Story } from '../support/openstack-story.js';

const max = 3;

describe('jobs on real VMs of a real OpenStack', () => {
  const story = new Story({ min: 0, max });
  const never = new AbortController().signal;
  let worker: DemoWorker;

  beforeAll(async () => {
    worker = await workerOf(story, max);
  }, patienceMs);

  story.chapter('brings a job onto a VM that does not exist yet', async () => {
    const starts = await coldJobs(story, worker, 1);
    process.stderr.write(`\nFrom qsub to a running job on a cold VM\n${coldStartTable(starts)}\n\n`);
    expect(starts.flatMap((start) => Object.values<unknown>({ ...start })).filter(Number.isNaN)).toEqual([]);
  });

  story.chapter(
    "runs the demo's jobs: grows, scrubs, uses VMs again, survives one's death, shrinks",
    async () => {
      const { pool, lab } = story;
      const jobs = submitAll(demoLoad(worker), worker);
      const killed: string[] = [];
      const killVmOf = async (job: string): Promise<void> => {
        const vm = pool.journal.vmOf(job) ?? '';
        killed.push(vm);
        lab.killVm(await lab.serverId(vm));
      };
      await playOut(jobs, worker, killVmOf, never, () => undefined, 2 * patienceMs);
      expect(jobs.flatMap(({ id, outcome }) => (outcome?.problems ?? []).map((p) => `${id}: ${p}`))).toEqual(
        [],
      );
      const vms = jobs.flatMap(({ id }) => pool.journal.times(id, Date.now()).vms);
      expect(vms.length).toBeGreaterThan(jobs.length);
      expect(new Set(vms).size).toBeLessThanOrEqual(max + killed.length);
      await worker.stop();

      // One of them is kept Busy, so it outlives the others.
      const lease = await pool.ready(1);
      expect(await story.actions(lease.vm.member)).toEqual(['create']);
      await pool.calm(0, 1);
      for (const vm of killed) await story.noServer(vm);
    },
  );

  story.chapter(
    'rolls a new image over the pool, leaves a Busy VM alone, and leaves Pulumi nothing to do',
    async () => {
      const { pool, site, lab } = story;
      const old = await pool.ready(1);
      await site.shape({ min: 1, image: labNames.otherImage });
      await pool.until('the new shape', ({ shape }) => shape?.image === labNames.otherImage);
      const lease = await pool.ready(2);
      const { members } = await pool.status();
      const wanted = [
        [old.vm.member, false],
        [lease.vm.member, true],
      ];
      expect(members.map(({ name, current }) => [name, current]).sort()).toEqual(wanted.sort());
      expect(await story.actions(old.vm.member)).toEqual(['create']);
      await pool.release(1, 2);
      await story.gone(old.vm.member);
      expect(await story.freeVm()).toBe(lease.vm.member);
      expect(await lab.servers()).toHaveLength(1);
      for (const { stack } of (await pool.status()).cells)
        expect(await site.plain(stack, ['preview', '--expect-no-changes'])).toMatchObject({ code: 0 });
    },
  );
});
