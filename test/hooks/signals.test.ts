import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { alice, Site } from './site.js';
import { leftovers } from '../../hooks/src/processes.js';

jest.setTimeout(90_000);

describe('signals reach the job on the VM', () => {
  let site: Site;
  beforeAll(async () => {
    site = await Site.open({ vms: 2, mom: { killDelayMs: 10_000 } });
  });
  afterAll(() => site?.close());

  const started = async (script: string, more = {}): Promise<string> => {
    const id = site.mom.submit({ user: alice.name, script: `${script}`, ...more });
    await site.mom.running(id);
    await site.mom.until(id, () => site.mom.stdout(id).includes('began'), 'its begin');
    return id;
  };

  it('qdel: the job may clean up, its code comes back, and nothing is left', async () => {
    const id = await started('trap "echo cleaned; exit 33" TERM\necho began\nwhile :; do sleep 0.1; done');
    await site.mom.qdel(id);
    const result = await site.mom.finished(id);
    expect(result.stdout.toString()).toBe('began\ncleaned\n');
    expect(result.exitStatus).toBe(33);
  });

  it('qdel of a job that does not care: killed after kill_delay, and the ssh that is left is ended', async () => {
    const id = await started('trap "" TERM\necho began\nwhile :; do sleep 0.1; done');
    await site.mom.qdel(id);
    const result = await site.mom.finished(id);
    expect(result.exitStatus).toBe(265);
    expect(site.service.live(id)).toEqual([]);
    expect(leftovers(alice.uid, '/var/spool/vmpool/jobs')).toEqual([]);
  });

  it('every process of the session is told, not the shell alone', async () => {
    const id = await started(
      '(trap "echo child; exit 0" TERM; while :; do sleep 0.1; done) &\ntrap "wait; exit 3" TERM\necho began\nwait; exit 3',
    );
    await site.mom.qdel(id);
    const result = await site.mom.finished(id);
    expect(result.stdout.toString()).toContain('child');
  });

  it('qsig: what the job catches arrives, one after the other', async () => {
    const id = await started(
      'trap "echo one" USR1; trap "echo two; exit 0" USR2\necho began\nwhile :; do sleep 0.05; done',
    );
    site.mom.qsig(id, 'SIGUSR1');
    // Of two that are pending at once, either may be delivered first.
    await site.mom.until(id, () => site.mom.stdout(id).includes('one'), 'the first');
    site.mom.qsig(id, 'SIGUSR2');
    const result = await site.mom.finished(id);
    expect(result.stdout.toString()).toBe('began\none\ntwo\n');
    expect(result.exitStatus).toBe(0);
  });

  it('walltime: the job is told, then ended', async () => {
    const id = await started('trap "echo time; exit 1" TERM\necho began\nwhile :; do sleep 0.1; done', {
      walltimeSeconds: 8,
    });
    const result = await site.mom.finished(id);
    expect(result.exitStatus).toBe(-11);
    expect(result.stdout.toString()).toBe('began\ntime\n');
  });

  it('the job starter killed outright: the epilogue ends its ssh and gives the VM back', async () => {
    const id = await started('echo began\nsleep 100');
    const starter = site.mom.starts(id)[0]?.starter ?? 0;
    expect(leftovers(alice.uid, '/var/spool/vmpool/jobs').length).toBeGreaterThan(0);
    process.kill(starter, 'SIGKILL');
    await site.mom.finished(id);
    expect(leftovers(alice.uid, '/var/spool/vmpool/jobs')).toEqual([]);
    expect(site.service.live(id)).toEqual([]);
  });

  it('the VM dies in the middle: a clear message, 99, and the job starts again', async () => {
    const id = await started('echo began; [ $(hostname) = vm1 ] && sleep 100; exit 0');
    const vm = site.service.leaseOf(id)?.vm;
    await vm?.stop();
    // Until that VM is known to be gone, the job's first start might still run there.
    const blocked = 'an earlier start of this job is still being cleaned from pool-1';
    await site.mom.until(id, () => site.mom.stderr(id).includes(blocked), 'the waiting');
    await site.service.gone('pool-1');
    const result = await site.mom.finished(id);
    expect(result.stderr).toContain('was lost while job');
    expect(result).toMatchObject({ exitStatus: 0, starts: 2, state: 'complete' });
  });
});
