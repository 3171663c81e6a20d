import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { alice, Site } from './site.js';
import { leftovers, statOf } from '../../hooks/src/processes.js';

jest.setTimeout(90_000);

const gone = (pid: number): boolean => statOf(pid)?.zombie ?? true;

describe('the mom dies and comes back', () => {
  let site: Site;
  beforeEach(async () => {
    site = await Site.open({ vms: 3, mom: { killDelayMs: 1000 } });
  });
  afterEach(() => site?.close());

  const live = (id: string): number => site.service.live(id).length;
  /** Every run of the script writes a line with its VM; so two runs cannot be missed. */
  const script = 'echo "ran on $(hostname)"; sleep 5; echo over';

  it('in a prologue: the second attempt runs, the orphan of the first never does', async () => {
    site.service.mute = true;
    const id = site.mom.submit({ user: alice.name, script });
    await site.mom.until(id, () => site.service.calls.length > 0, 'the request');
    site.mom.kill();
    site.service.mute = false;
    await site.mom.restart('default');
    const result = await site.mom.finished(id);
    expect(site.mom.epilogues(id)[0]).toMatchObject({ session: '0', exitStatus: '-3' });
    await site.mom.until(id, () => site.mom.starts(id).every((start) => start.over), 'the end of both');
    expect(site.mom.stdout(id).toString()).toBe('ran on vm1\nover\n');
    expect(result).toMatchObject({ exitStatus: 0, starts: 2 });
    expect(live(id)).toBe(0);
  });

  it('in a prologue whose epilogue is lost: the next start ends starter and prologue of the first by itself', async () => {
    site.service.mute = true;
    const id = site.mom.submit({ user: alice.name, script });
    await site.mom.until(id, () => site.service.calls.length > 0, 'the request');
    const { starter, prologue } = site.mom.starts(id)[0] ?? { starter: 0, prologue: 0 };
    site.mom.kill();
    site.mom.loseEpilogues = true;
    expect([gone(starter), gone(prologue)]).toEqual([false, false]);
    await site.mom.restart('default');
    await site.mom.until(id, () => site.mom.starts(id).length === 2, 'the second start');
    await site.mom.until(id, () => gone(starter) && gone(prologue), 'the end of the first');
    site.service.mute = false;
    site.mom.loseEpilogues = false;
    const result = await site.mom.finished(id);
    // The first ended before its mom's -3 epilogue could have: only the second had one.
    expect(site.mom.epilogues(id)).toHaveLength(1);
    expect(result).toMatchObject({ exitStatus: 0, starts: 2 });
    expect(site.mom.stdout(id).toString()).toBe('ran on vm1\nover\n');
    expect(live(id)).toBe(0);
  });

  it('while a job waits for its VM, epilogue lost: the next start takes its place in the line', async () => {
    site.service.pause();
    const id = site.mom.submit({ user: alice.name, script });
    await site.mom.running(id);
    const first = site.mom.starts(id)[0]?.starter ?? 0;
    site.mom.kill();
    site.mom.loseEpilogues = true;
    await site.mom.restart('q');
    await site.mom.until(id, () => site.service.leases.length === 2, 'the second request');
    expect(gone(first)).toBe(true);
    expect(site.service.leases.map((lease) => lease.state)).toEqual(['ended', 'waiting']);
    site.mom.loseEpilogues = false;
    site.service.grant();
    expect((await site.mom.finished(id)).exitStatus).toBe(0);
    expect(site.mom.stdout(id).toString().match(/over/g)).toHaveLength(1);
    expect(live(id)).toBe(0);
  });

  it('an orphan starter that nobody could end runs the job’s script: the job starter refuses it', async () => {
    const id = site.mom.submit({ user: alice.name, script });
    await site.mom.until(id, () => site.mom.stdout(id).includes('ran'), 'its begin');
    const orphan = await site.mom.pbsdsh(id, ['/bin/bash'], 1);
    expect(orphan.code).toBe(98);
    expect(orphan.stderr).toMatch(
      /is not the one that the prologue of job .* recorded \(\d+\): a stale start/,
    );
    expect(site.service.leases).toHaveLength(1);
    expect((await site.mom.finished(id)).stdout.toString()).toBe('ran on vm1\nover\n');
    const late = await site.mom.pbsdsh(id, ['/bin/bash'], 1);
    expect(late.code).toBe(98);
  });

  it('in a job, and the node is started again: the epilogue says 0, the files come back, the lease ends', async () => {
    await site.close();
    site = await Site.open({ config: { sharedHome: false } });
    site.directory('/home/vmpalice/w', alice);
    const id = site.mom.submit({
      user: alice.name,
      script: 'cd $PBS_O_WORKDIR; echo half > result; echo began; sleep 100',
      workDirectory: '/home/vmpalice/w',
    });
    await site.mom.until(id, () => site.mom.stdout(id).includes('began'), 'its begin');
    const { starter } = site.mom.starts(id)[0] ?? { starter: 0 };
    await site.mom.reboot(() => site.worker.reboot());
    const result = await site.mom.finished(id);
    expect(site.mom.epilogues(id)).toMatchObject([{ session: String(starter), exitStatus: '0', code: 0 }]);
    expect(result).toMatchObject({ exitStatus: 0, starts: 1 });
    expect(readFileSync(site.worker.path('/home/vmpalice/w/result'), 'utf8')).toBe('half\n');
    expect(live(id)).toBe(0);
    expect(site.service.member('pool-1')?.state.kind).toBe('Free');
  });

  it('the node is started again and no epilogue comes: the sync ends what is of another boot', async () => {
    const id = site.mom.submit({ user: alice.name, script: 'echo ran; sleep 100' });
    await site.mom.until(id, () => site.mom.stdout(id).includes('ran'), 'its begin');
    site.mom.loseEpilogues = true;
    await site.mom.reboot(() => site.worker.reboot());
    await site.mom.until(id, () => site.mom.state(id) === 'complete', 'the end that Torque sees');
    expect(live(id)).toBe(1);
    expect((await site.mom.runHook('/usr/local/lib/vmpool/sync')).code).toBe(0);
    expect(site.service.syncs.at(-1)?.jobs).toEqual([]);
  });

  it('qrerun, and its late SIGKILL hits the next start: nothing runs on, nothing is kept', async () => {
    const id = site.mom.submit({ user: alice.name, script: 'echo began; sleep 100' });
    await site.mom.until(id, () => site.mom.stdout(id).includes('began'), 'its begin');
    await site.mom.qrerunKillingLate(id);
    const result = await site.mom.finished(id);
    expect(result).toMatchObject({ exitStatus: 265, starts: 2 });
    expect(live(id)).toBe(0);
    expect(leftovers(alice.uid, '/var/spool/vmpool/jobs')).toEqual([]);
  });

  it.each(['in its prologue', 'while it runs'])(
    'qdel -p %s: the server forgets the job, the epilogue comes later',
    async (when) => {
      await site.close();
      site = await Site.open({ mom: { purgeMs: 900, killDelayMs: 500 } });
      if (when === 'in its prologue') site.service.mute = true;
      const id = site.mom.submit({ user: alice.name, script: 'echo ran; sleep 100' });
      const begun = (): boolean =>
        when === 'in its prologue' ? site.service.calls.length > 0 : site.mom.stdout(id).includes('ran');
      await site.mom.until(id, begun, 'its begin');
      site.service.mute = false;
      const purged = site.mom.qdelPurge(id);
      // Nobody ends a lease before the mom knows: the job still runs.
      expect((await site.mom.runHook('/usr/local/lib/vmpool/sync')).code).toBe(0);
      expect(site.service.syncs.at(-1)?.jobs).toEqual([id]);
      await purged;
      await site.mom.finished(id);
      expect(live(id)).toBe(0);
      expect(site.mom.epilogues(id)).toHaveLength(1);
      expect(leftovers(alice.uid, '/var/spool/vmpool/jobs')).toEqual([]);
    },
  );

  it('in a job, plain restart: the job goes on and ends well', async () => {
    const id = site.mom.submit({ user: alice.name, script });
    await site.mom.running(id);
    await site.mom.until(id, () => site.mom.stdout(id).includes('ran'), 'its begin');
    site.mom.kill();
    await site.mom.restart('default');
    expect(live(id)).toBe(1);
    const result = await site.mom.finished(id);
    expect(result.stdout.toString()).toBe('ran on vm1\nover\n');
    expect(live(id)).toBe(0);
  });

  it.each(['q', 'r'] as const)(
    'in a job, restart with -%s: the old one is ended before the new one has its VM',
    async (mode) => {
      const id = site.mom.submit({ user: alice.name, script });
      await site.mom.running(id);
      await site.mom.until(id, () => site.mom.stdout(id).includes('ran'), 'its begin');
      site.mom.kill();
      await site.mom.restart(mode);
      const result = await site.mom.finished(id);
      expect(site.mom.epilogues(id)[0]?.exitStatus).toBe('-4');
      expect(site.mom.stdout(id).toString().match(/over/g)).toHaveLength(1);
      expect(result).toMatchObject({ exitStatus: 0, starts: 2 });
      expect(live(id)).toBe(0);
      expect(leftovers(alice.uid, '/var/spool/vmpool/jobs')).toEqual([]);
    },
  );

  it('in an epilogue: the second copy beside the first does no harm', async () => {
    const id = site.mom.submit({ user: alice.name, script: 'echo ran; sleep 5' });
    await site.mom.until(id, () => site.mom.stdout(id).includes('ran'), 'its begin');
    await site.service.stop();
    await site.mom.until(id, () => site.mom.epilogues(id).length === 1, 'the epilogue');
    site.mom.kill();
    const restarted = site.mom.restart('default');
    await site.mom.until(id, () => site.mom.epilogues(id).length === 2, 'the second one');
    // Both at work: the service is away, neither can have ended.
    expect(site.mom.epilogues(id).map((run) => run.code)).toEqual([null, null]);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await site.service.start();
    await restarted;
    await site.mom.until(id, () => site.mom.epilogues(id).every((run) => run.code === 0), 'both ends');
    expect(site.service.releases).toHaveLength(1);
    expect(live(id)).toBe(0);
  });

  it('an epilogue that runs late never ends a newer attempt', async () => {
    const id = site.mom.submit({ user: alice.name, script: 'echo "ran"; sleep 3' });
    await site.mom.running(id);
    const first = site.mom.starts(id)[0]?.starter ?? 0;
    site.mom.kill();
    await site.mom.restart('r');
    await site.mom.until(
      id,
      () => site.mom.starts(id).length === 2 && site.mom.state(id) === 'running',
      'the second',
    );
    await site.mom.until(id, () => live(id) === 1, 'its lease');
    const late = [
      '/var/spool/torque/mom_priv/epilogue',
      id,
      alice.name,
      'vmpalice',
      'x',
      String(first),
    ] as const;
    expect((await site.mom.runHook(...late)).code).toBe(0);
    expect(live(id)).toBe(1);
    expect((await site.mom.finished(id)).exitStatus).toBe(0);
  });

  it('an epilogue that never ran: the sync ends the lease once the job is gone', async () => {
    const id = site.mom.submit({ user: alice.name, script: 'sleep 100' });
    await site.mom.running(id);
    await site.mom.until(id, () => live(id) === 1, 'its lease');
    expect((await site.mom.runHook('/usr/local/lib/vmpool/sync')).code).toBe(0);
    expect(site.service.syncs.at(-1)?.jobs).toEqual([id]);
    await site.mom.qdel(id);
    await site.mom.finished(id);
    await site.mom.runHook('/usr/local/lib/vmpool/sync');
    expect(site.service.syncs.at(-1)?.jobs).toEqual([]);
  });
});
