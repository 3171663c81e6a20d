import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { alice, Site } from './site.js';
import { leftovers, statOf } from '../../hooks/src/processes.js';

jest.setTimeout(90_000);

describe('the mom dies and comes back', () => {
  let site: Site;
  beforeEach(async () => {
    site = await Site.open({ vms: 3, mom: { killDelayMs: 1000 } });
  });
  afterEach(() => site?.close());

  const live = (id: string): number => site.service.live(id).length;
  /** Every run of the script writes a line with its VM; so two runs cannot be missed. */
  const script = 'echo "ran on $(hostname)"; sleep 1.5; echo over';

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

  it('in a prologue whose epilogue is lost: the newer attempt ends the older one by itself', async () => {
    site.service.pause();
    const id = site.mom.submit({ user: alice.name, script });
    await site.mom.running(id);
    const first = site.mom.starts(id)[0]?.starter ?? 0;
    site.mom.kill();
    // The epilogue is killed as soon as it begins: as when the mom dies again.
    const restarted = site.mom.restart('q');
    await site.mom.until(id, () => site.mom.epilogues(id).length > 0, 'the epilogue');
    site.service.grant();
    await restarted;
    const result = await site.mom.finished(id);
    expect(result.exitStatus).toBe(0);
    expect(statOf(first)?.zombie ?? true).toBe(true);
    expect(live(id)).toBe(0);
  });

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

  it('in an epilogue: the second copy beside the first does no harm, and nothing is released twice', async () => {
    const id = site.mom.submit({ user: alice.name, script: 'echo ran' });
    await site.mom.until(id, () => site.mom.epilogues(id).length > 0, 'the epilogue');
    site.mom.kill();
    await site.mom.restart('default');
    await site.mom.until(id, () => site.mom.state(id) === 'complete', 'its end');
    await site.mom.until(
      id,
      () => site.mom.epilogues(id).every((run) => run.code !== null),
      'both epilogues',
    );
    expect(site.mom.epilogues(id).map((run) => run.code)).toEqual([0, 0]);
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
