import { beforeAll, describe, expect } from '@jest/globals';
import type { DemoWorker } from '../../src/demo/worker.js';
import { coldJobs, told, workerOf } from '../support/cold-jobs.js';
import { patienceMs, Story } from '../support/openstack-story.js';

const many = 10;

/** Ten guests emulated at the same time, 256 MB each: what is measured is above all this machine. */
describe('ten jobs at once on ten cold VMs', () => {
  const story = new Story({ min: 0, max: many });
  let worker: DemoWorker;

  beforeAll(async () => {
    worker = await workerOf(story, many);
  }, patienceMs);

  story.chapter('all run, each on a VM of its own', async () => {
    // The first may be over before the last has a VM, and would give it theirs.
    await story.pool.reconfigure({ reuse: 'never' });
    const starts = await coldJobs(story, worker, many);
    const slowestLast = [...starts].sort((a, b) => a.running - b.running);
    told('From qsub to a running job, ten at once', slowestLast);
    expect(new Set(starts.map(({ vm }) => vm)).size).toBe(many);
  });
});
