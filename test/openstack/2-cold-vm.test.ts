import { beforeAll, describe, expect } from '@jest/globals';
import { demoLoad } from '../../src/demo/load.js';
import type { DemoWorker } from '../../src/demo/worker.js';
import { coldJobs, played, told, workerOf } from '../support/cold-jobs.js';
import { patienceMs, Story } from '../support/openstack-story.js';

describe('a real VM of a real OpenStack', () => {
  const story = new Story({ min: 0, max: 1 });
  let worker: DemoWorker;

  beforeAll(async () => {
    worker = await workerOf(story, 1);
  }, patienceMs);

  story.chapter('is made for a job', async () => {
    told('From qsub to a running job on a cold VM', await coldJobs(story, worker, 1));
  });

  story.chapter('dies under a job, which is done on another one', async () => {
    const { pool } = story;
    const jobs = demoLoad(worker).filter(({ what }) => what === 'its VM dies');
    const { killed, vms } = await played(story, worker, jobs);
    expect(killed).toHaveLength(1);
    expect(vms).toHaveLength(2);
    await worker.stop();
    await pool.calm(0, 0);
    for (const vm of killed) await story.noServer(vm);
  });
});
