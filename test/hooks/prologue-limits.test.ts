import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { statOf } from '../../hooks/src/processes.js';
import { alice, bob, carol, Site } from './site.js';

jest.setTimeout(90_000);

let site: Site;
afterEach(() => site?.close());
const at = (path: string): string => site.worker.path(path);
const setPrologue = (text: string): void => {
  const path = at('/var/spool/torque/mom_priv/prologue');
  chmodSync(path, 0o700);
  writeFileSync(path, text);
  chmodSync(path, 0o500);
};
const gone = (pid: number): boolean => statOf(pid)?.zombie ?? true;

describe('the double’s prologue that takes too long', () => {
  it('is killed with its whole session; what is in another session stays; the mom notices later', async () => {
    site = await Site.open({
      vms: 0,
      mom: { prologAlarmMs: 13_000, noticeMs: 700, disableAutomaticRequeue: true },
    });
    setPrologue(
      '#!/bin/sh\nsleep 60 & echo $! > /var/spool/inside\nsetsid sleep 60 & sleep 0.2; echo $! > /var/spool/outside\ntrap "" TERM; wait; sleep 60\n',
    );
    const id = site.mom.submit({ user: alice.name, script: 'x' });
    await site.mom.until(id, () => site.mom.starts(id)[0]?.over === true, 'the kill');
    expect(site.mom.starts(id)[0]?.result).toBe('timeout 0');
    const pid = (name: string): number => Number(readFileSync(at(`/var/spool/${name}`), 'utf8'));
    await site.mom.until(id, () => gone(pid('inside')), 'the end of the session');
    expect(gone(pid('outside'))).toBe(false);
    process.kill(pid('outside'), 'SIGKILL');
    expect(site.mom.epilogues(id)).toEqual([]);
    expect(await site.mom.finished(id)).toMatchObject({ starts: 1, exitStatus: -14, state: 'complete' });
    expect(site.mom.epilogues(id)).toHaveLength(1);
  });

  it.each([
    ['a bad interpreter', '#!/no/such/interpreter\n', 'exit 126'],
    ['another code', '#!/bin/sh\nexit 7\n', 'exit 7'],
  ])('%s: starts again without limit, also a job of qsub -r n', async (_, text, result) => {
    site = await Site.open({ vms: 0 });
    setPrologue(text);
    const id = site.mom.submit({ user: alice.name, script: 'x', rerunnable: false });
    await site.mom.until(id, () => site.mom.starts(id).length > 6, 'many starts');
    expect(site.mom.starts(id)[0]?.result).toBe(result);
    expect(site.mom.epilogues(id)[0]).toMatchObject({ session: '0', exitStatus: '-14' });
    await site.mom.qdel(id);
  });
});

describe('our prologue at its limits', () => {
  it('a service that hangs until the mom’s SIGKILL: nothing runs, the next start does', async () => {
    site = await Site.open({ mom: { prologAlarmMs: 16_000, noticeMs: 300 } });
    site.service.mute = true;
    const id = site.mom.submit({ user: alice.name, script: 'echo ran' });
    await site.mom.until(id, () => site.mom.starts(id)[0]?.over === true, 'the kill');
    site.service.mute = false;
    const result = await site.mom.finished(id);
    expect(site.mom.starts(id)[0]?.result).toBe('timeout 0');
    expect(site.mom.epilogues(id)[0]).toMatchObject({ session: '0', exitStatus: '-14', code: 0 });
    expect(result).toMatchObject({ exitStatus: 0, starts: 2 });
    expect(result.stdout.toString()).toBe('ran\n');
    expect(site.service.liveJobs()).toEqual([]);
  });

  it('no VM is Free: the node is not slowed, the one thread of the mom starts every job', async () => {
    site = await Site.open({ mom: { thread: { blockMs: 0, loopMs: 250 } }, config: { quickWaitSeconds: 1 } });
    site.service.pause();
    const users = [alice, bob, carol];
    const ids = users.map((user) => site.mom.submit({ user: user.name, script: 'echo $PBS_JOBID' }));
    for (const id of ids) await site.mom.running(id);
    // All of them are past their prologue while none has a VM: the waiting is the job starter's.
    expect(site.service.liveJobs()).toEqual(ids);
    expect(site.service.leases.map((lease) => lease.state)).toEqual(['waiting', 'waiting', 'waiting']);
    site.service.grant();
    for (const id of ids) expect((await site.mom.finished(id)).stdout.toString()).toBe(`${id}\n`);
  });

  it('qdel while Torque’s server is slow to tell the start: the epilogue finds whom to end', async () => {
    site = await Site.open({ mom: { killDelayMs: 600 } });
    site.mom.server.slow(3);
    const id = site.mom.submit({ user: alice.name, script: 'echo ran' });
    await site.mom.until(id, () => site.spool().some((path) => path.endsWith('attempt.json')), 'the record');
    await site.mom.qdel(id);
    await site.mom.finished(id);
    const { starter, prologue } = site.mom.starts(id)[0] ?? { starter: 0, prologue: 0 };
    expect([gone(starter), gone(prologue)]).toEqual([true, true]);
    expect(site.service.leases).toEqual([]);
    expect(site.mom.stdout(id).toString()).toBe('');
  });

  it('a job that cannot be held is ended with the reason: 2 without the hold would loop', async () => {
    site = await Site.open({ config: { prologueLimitSeconds: 9 } });
    site.mom.server.manager(false);
    await site.service.stop();
    const id = site.mom.submit({ user: alice.name, script: 'echo ran' });
    await site.mom.until(id, () => site.mom.starts(id)[0]?.over === true, 'the end of its prologue');
    await site.service.start();
    expect(await site.mom.finished(id)).toMatchObject({ state: 'complete', starts: 1, exitStatus: -2 });
    const message = readFileSync(at(`/var/spool/vmpool/messages/${id}.txt`), 'utf8');
    expect(message).toContain('could not be held either');
    expect(message).toContain('Unauthorized Request');
  });

  it('the name service does not know the user for a moment: the job is held, not ended', async () => {
    site = await Site.open();
    const passwd = readFileSync(at('/etc/passwd'), 'utf8');
    writeFileSync(at('/etc/passwd'), passwd.replace(/^vmpalice:.*\n/m, ''));
    const id = site.mom.submit({ user: alice.name, script: 'echo ran' });
    expect(await site.mom.finished(id)).toMatchObject({ state: 'held', starts: 1 });
    writeFileSync(at('/etc/passwd'), passwd);
    site.mom.qrls(id);
    await site.mom.until(id, () => site.mom.state(id) === 'complete', 'its end');
    expect(site.mom.stdout(id).toString()).toBe('ran\n');
  });

  it('no configuration, and a broken one: held, never a loop', async () => {
    site = await Site.open();
    // The prologue then only knows the usual places of qhold.
    writeFileSync(at('/usr/local/bin/qhold'), `#!/bin/sh\nexec ${site.mom.server.command('qhold')} "$@"\n`, {
      mode: 0o755,
    });
    writeFileSync(at('/etc/vmpool/worker.json'), '{"service":{}}');
    const id = site.mom.submit({ user: alice.name, script: 'echo ran' });
    expect(await site.mom.finished(id)).toMatchObject({ state: 'held', starts: 1 });
    expect(site.mom.stderr(id)).toContain('service.url: is missing');
    expect(existsSync(at('/var/spool/vmpool/jobs'))).toBe(false);
  });

  it('a job starter that a mom runs as root refuses: it would obey the job’s own variables', async () => {
    site = await Site.open({ vms: 0 });
    const starter = await site.mom.runHook('/usr/local/lib/vmpool/jobstarter', '/bin/bash');
    expect(starter).toMatchObject({ code: 98, stdout: '' });
    expect(starter.stderr).toContain('$job_starter_run_privileged');
  });
});
