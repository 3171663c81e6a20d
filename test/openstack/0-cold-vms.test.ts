import { beforeAll, describe, expect } from '@jest/globals';
import type { DemoWorker } from '../../src/demo/worker.js';
import { coldJobs, told, workerOf } from '../support/cold-jobs.js';
import { howMany } from '../support/openstack-lab.js';
import { patienceMs, Story } from '../support/openstack-story.js';

const many = howMany('COLD_VMS', 10);

/** Guests emulated in software, 256 MB each: of many at the same time, what is measured is above all this machine. */
describe('jobs on cold VMs of a real OpenStack', () => {
  const story = new Story({ min: 0, max: many });
  let worker: DemoWorker;

  beforeAll(async () => {
    worker = await workerOf(story, many);
    // Of several, the first may be over before the last has a VM, and would give it theirs.
    await story.pool.reconfigure({ reuse: 'never' });
  }, patienceMs);

  story.chapter('one is made for a job', async () => {
    told('From qsub to a running job on a cold VM', await coldJobs(story, worker, 1));
  });

  story.chapter(`${String(many)} jobs at once all run, each on a VM of its own`, async () => {
    const starts = await coldJobs(story, worker, many);
    const slowestLast = [...starts].sort((a, b) => a.running - b.running);
    told(`From qsub to a running job, ${String(many)} at once`, slowestLast);
    expect(new Set(starts.map(({ vm }) => vm)).size).toBe(many);
  });
});
