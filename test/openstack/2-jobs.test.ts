import { beforeAll, describe, expect } from '@jest/globals';
import { demoLoad } from '../../src/demo/load.js';
import type { DemoWorker } from '../../src/demo/worker.js';
import { played, workerOf } from '../support/cold-jobs.js';
import { labNames } from '../support/openstack-lab.js';
import { patienceMs, Story } from '../support/openstack-story.js';

const max = 3;

describe('jobs on real VMs of a real OpenStack', () => {
  const story = new Story({ min: 0, max });
  let worker: DemoWorker;

  beforeAll(async () => {
    worker = await workerOf(story, max);
  }, patienceMs);

  story.chapter('a VM dies under a job, which is done on another one', async () => {
    const jobs = demoLoad(worker).filter(({ what }) => what === 'its VM dies');
    const { killed, vms } = await played(story, worker, jobs);
    expect(killed).toHaveLength(1);
    expect(vms).toHaveLength(2);
    for (const vm of killed) await story.noServer(vm);
  });

  story.chapter("runs the demo's jobs: grows, scrubs, uses VMs again, shrinks", async () => {
    const { pool } = story;
    const jobs = demoLoad(worker).filter(({ what }) => what !== 'its VM dies');
    // One VM could do all the jobs in the time that another one takes to boot: a long job has the first.
    const { mom } = worker;
    const long = mom.submit({ user: 'alice', script: '#!/bin/bash\necho began\nexec sleep 3600\n' });
    await mom.until(long, () => mom.stdout(long).includes('began'), 'its begin', patienceMs);
    const held = pool.journal.vmOf(long);
    expect(held).not.toBeNull();
    const { vms } = await played(story, worker, jobs);
    expect(vms).toHaveLength(jobs.length);
    expect(vms).not.toContain(held);
    expect(new Set(vms).size).toBeLessThan(jobs.length);
    await mom.qdel(long);
    await mom.finished(long, patienceMs);
    await worker.stop();

    // One of them is kept Busy, so it outlives the others.
    const lease = await pool.ready(1);
    expect(await story.actions(lease.vm.member)).toEqual(['create']);
    await pool.calm(0, 1);
  });

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
      expect(await story.differences()).toEqual([]);
    },
  );
});
