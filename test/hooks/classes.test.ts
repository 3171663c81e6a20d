import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { readFileSync } from 'node:fs';
import type { JobResult, Submission } from '../mom/job.js';
import { alice, Site } from './site.js';

jest.setTimeout(120_000);

/** The hooks send what a job asks for; the service's own way to a class decides. */
describe('a job and its class of VMs', () => {
  let site: Site;
  beforeAll(async () => {
    const rule = { pool: 'pool', queues: ['long'], features: ['big', 'cloud'], reserved: true };
    site = await Site.open({ vms: 1, rule });
  });
  afterAll(() => site?.close());

  const run = (more: Partial<Submission>): Promise<JobResult & { id: string }> => {
    const id = site.mom.submit({ user: alice.name, script: 'echo ran', queue: 'long', ...more });
    return site.mom.finished(id).then((result) => ({ ...result, id }));
  };
  const told = (id: string): string =>
    readFileSync(site.worker.path(`/var/spool/vmpool/messages/${id}.txt`), 'utf8');

  it('that fits: its properties, memory and processors are what the resource list says', async () => {
    const result = await run({ ppn: 2, properties: ['big'], limits: 'mem=3gb,pmem=1gb,cput=01:00:00' });
    expect(result.exitStatus).toBe(0);
    expect(result.stdout.toString()).toBe('ran\n');
    const gib = 2 ** 30;
    expect(site.service.leaseOf(result.id)?.body).toMatchObject({
      ...{ processors: 2, memory: 3 * gib, features: ['big'], queue: 'long' },
      limits: { mem: 3 * gib, pmem: gib, cput: 3_600 },
      // As long as the job starter waits (maxWaitSeconds), within the walltime.
      maxWaitSeconds: 30,
    });
  });

  it('of which each process may have much: as much as all of them together', async () => {
    const { id } = await run({ ppn: 3, properties: ['cloud'], limits: 'pmem=2gb' });
    expect(site.service.leaseOf(id)?.body).toMatchObject({ memory: 6 * 2 ** 30, features: ['cloud'] });
  });

  it.each([
    ['too much memory', { properties: ['big'], limits: 'mem=9gb' }, 'too little memory'],
    ['too many processors', { properties: ['big'], ppn: 5 }, 'too few processors'],
    ['a property that nothing has', { properties: ['big', 'gpu'] }, 'lacks gpu'],
    ['no property of a reserved class', {}, 'only for jobs that ask for its features'],
    ['another queue', { properties: ['big'], queue: 'short' }, 'not for that queue'],
  ])('that none fits is ended at once and told why: %s', async (_what, more, why) => {
    const result = await run(more);
    expect(result).toMatchObject({ state: 'complete', exitStatus: -2, starts: 1 });
    expect(result.stdout.toString()).toBe('');
    expect(told(result.id)).toContain('no class of VMs fits the job');
    expect(told(result.id)).toContain(why);
    expect(site.service.leaseOf(result.id)).toBeUndefined();
  });
});
