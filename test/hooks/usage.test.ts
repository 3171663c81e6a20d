import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { JobResult, Submission } from '../mom/job.js';
import { alice, Site } from './site.js';

jest.setTimeout(120_000);

/** With root's own program on the VM, as the service leaves it there. */
describe('what a job used, and its limits', () => {
  let site: Site;
  beforeAll(async () => {
    site = await Site.open({ vms: 1, config: { printUsage: true } });
    site.service.meters = true;
  });
  afterAll(() => site?.close());

  const run = (script: string, more: Partial<Submission> = {}): Promise<JobResult> =>
    site.mom.finished(site.mom.submit({ user: alice.name, script, ...more }));
  const measured = async (count: number): Promise<unknown> => {
    for (let n = 0; n < 100 && site.service.measured.length < count; n += 1)
      await new Promise((resolve) => setTimeout(resolve, 100));
    return site.service.measured[count - 1];
  };

  it('is printed at the end of its output, and told with its exit code', async () => {
    const result = await run('echo out; exit 4');
    expect(result.exitStatus).toBe(4);
    expect(result.stdout.toString()).toMatch(
      /^out\n\nvmpool: resources used by this job on vm1\n {2}CPU time .* s.*\n {2}wall time .* s\n {2}memory .* MiB at most\n {2}exit code {2}4\n$/,
    );
    expect(await measured(1)).toMatchObject({ begun: true, code: 4, told: false, over: null });
    expect(site.service.releases.at(-1)).toMatchObject({ exit: 4 });
  });

  it('over its cput: ended, with the reason on its stderr', async () => {
    const result = await run('while :; do :; done', { limits: 'cput=00:00:02' });
    expect(result.exitStatus).toBeGreaterThan(128);
    expect(result.stderr).toMatch(/vmpool: job killed: cput \d+\.\d\d s exceeded limit 2\.00 s/);
    expect(await measured(2)).toMatchObject({ over: { limit: 'cput', most: 2 } });
  });

  it('over the processor time of one process: the kernel ends it, and the job is told so', async () => {
    const result = await run('(while :; do :; done); exit $?', { limits: 'pcput=1' });
    expect(result.exitStatus).toBeGreaterThan(128);
    expect(await measured(3)).toMatchObject({ over: { limit: 'pcput', most: 1 } });
  });

  it('over its memory: ended, with the reason on its stderr', async () => {
    // tail keeps the last line, which has no end.
    const script = 'head -c 300000000 /dev/zero | tail | sleep 60';
    const result = await run(script, { limits: 'mem=100mb' });
    expect(result.exitStatus).toBeGreaterThan(128);
    expect(result.stderr).toMatch(/vmpool: job killed: mem .* exceeded limit 100/);
    expect(result.stdout.toString()).toMatch(/memory .* MiB at most/);
    expect(await measured(4)).toMatchObject({ over: { limit: 'mem', most: 100 * 2 ** 20 } });
  });

  it('qdel: told apart from an end of its own', async () => {
    const id = site.mom.submit({ user: alice.name, script: 'echo began; sleep 60' });
    await site.mom.running(id);
    await site.mom.until(id, () => site.mom.stdout(id).includes('began'), 'its begin');
    await site.mom.qdel(id);
    await site.mom.finished(id);
    expect(await measured(5)).toMatchObject({ begun: true, told: true });
  });
});
