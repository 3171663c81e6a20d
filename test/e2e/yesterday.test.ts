import { afterEach, describe, expect, it } from '@jest/globals';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeBackup } from '../../src/backup/make.js';
import { placeOf } from '../../src/backup/place.js';
import { restoreBackup } from '../../src/backup/restore.js';
import { systemClock } from '../../src/cloud/clock.js';
import { installationIs, installationOf } from '../../src/service/installation.js';
import { bookFormat } from '../../src/pool/book-schema.js';
import { bookPath } from '../../src/service/open-book.js';
import { recoverStore } from '../../src/store/recover.js';
import type { LeaseView } from '../../src/http/api.js';
import type { RunningService, EmbeddedSite } from '../support/site.js';
import {
  eventually,
  jobRequest,
  leaseReady,
  membersIn,
  onVm,
  openSite,
  releaseJob,
} from '../support/site.js';

const never = new AbortController().signal;

/** A job at work: a process of its user on its VM, and where that is. */
interface Working {
  readonly job: number;
  readonly lease: LeaseView;
  readonly host: string;
  readonly server: string;
}

/** The sleep of the job: its argument says whose it is. */
const seconds = (job: number): string => String(70_000 + job);

async function work(site: EmbeddedSite, service: RunningService, job: number): Promise<Working> {
  const lease = await leaseReady(service.service, job, 120_000);
  const host = lease.vm?.host ?? '';
  const member = service.service.status().members.find((m) => m.name === lease.vm?.member);
  const command = `setsid setpriv --reuid 2001 --regid 2001 --clear-groups sleep ${seconds(job)} </dev/null >/dev/null 2>&1 &`;
  await onVm(site, host, command);
  return { job, lease, host, server: member?.serverId ?? '' };
}

/** Its process runs, once, and Nova has done nothing to its server. */
async function stillWorks(site: EmbeddedSite, { job, host, server }: Working): Promise<void> {
  const found = await onVm(site, host, `pgrep -c -u 2001 -f 'sleep ${seconds(job)}' || true`);
  expect([job, found.trim()]).toEqual([job, '1']);
  const servers = await site.control.servers();
  expect(servers.some(({ id }) => id === server)).toBe(true);
}

describe('a store from yesterday while jobs run', () => {
  let site: EmbeddedSite | null = null;
  afterEach(async () => {
    await site?.close();
    site = null;
  }, 120_000);

  it.each([
    ['the book alone', '127.121.0.0/16'],
    ['the whole state directory', '127.122.0.0/16'],
  ])(
    'of which %s was put back: none is ended, doubled or lost, and the pool comes to rest',
    async (what, subnet) => {
      const here = await openSite({ subnet, shape: { min: 2, max: 2 }, policy: { idleBeforeShrink: '60s' } });
      site = here;
      await here.shape({});
      let running = await here.start();
      await eventually('two VMs', 120_000, () => membersIn(running.service, 'Free').length === 2);
      await leaseReady(running.service, 1, 60_000);
      const second = await work(here, running, 2);
      const waits = await running.service.request('w1', jobRequest(3));
      expect(waits).toMatchObject({ kind: 'done', value: { state: 'waiting' } });

      const file = join(here.directory, 'yesterday.tgz');
      await makeBackup(placeOf(here.config), { target: file, keep: null, now: Date.now() });

      // The day goes on: the waiting job gets the VM of the first one, and a VM that the backup does not know is made.
      await releaseJob(running.service, 1);
      const third = await work(here, running, 3);
      await here.shape({ max: 3 });
      const fourth = await work(here, running, 4);
      const jobs = [second, third, fourth];
      await running.stop();

      if (what === 'the whole state directory') rmSync(here.config.stateDir, { recursive: true });
      const { done } = await restoreBackup(placeOf(here.config), {
        file,
        dryRun: false,
        clock: systemClock,
      });
      expect(done).toBe(true);
      running = await here.start();
      const granted = (): boolean =>
        jobs.every(({ lease, host }) => {
          const now = running.service.lease(lease.id);
          return now?.state === 'granted' && now.ready && now.vm?.host === host;
        });
      await eventually('every job has its lease on its VM again', 240_000, async () => {
        await running.service.sync('w1', { jobs: jobs.map(({ job }) => `${String(job)}.site`), ageMs: 0 });
        // The worker's job starters wait or are done waiting: this one asks as the prologue of a job that waits would.
        expect(running.service.status().members.length).toBeLessThanOrEqual(3);
        return granted();
      });
      for (const job of jobs) await stillWorks(here, job);
      const { leases, requests } = running.service.status();
      expect(leases.map(({ job }) => job).sort()).toEqual(['2.site', '3.site', '4.site']);
      expect(requests).toEqual([]);
      // A VM for each: nobody was given a second one.
      expect((await here.control.servers()).length).toBe(3);

      for (const { job } of jobs) await releaseJob(running.service, job);
      await eventually('only VMs that the book knows, all Free', 240_000, async () => {
        const { members } = running.service.status();
        const servers = await here.control.servers();
        const free = members.length >= 2 && members.every((m) => m.state === 'Free');
        return free && servers.length === members.length;
      });
      for (const member of membersIn(running.service, 'Free')) {
        const left = await onVm(here, member.address ?? '', 'pgrep -c -u 2001 || true');
        expect(left.trim()).toBe('0');
      }
      if (what === 'the book alone') {
        // Only what stood in the way was renamed: the book, and its journal where it had one.
        const aside = readdirSync(here.config.stateDir).filter((name) => name.includes('aside'));
        expect(aside.filter((name) => !/^book\.json\.journal-/.test(name))).toEqual([
          expect.stringMatching(/^book\.json\.aside-/),
        ]);
      }
    },
    600_000,
  );

  it('of which nothing is left but the cloud: a job runs on on a VM that is held, until its worker says that it ended', async () => {
    const here = await openSite({ subnet: '127.123.0.0/16', shape: { min: 1, max: 2 } });
    site = here;
    await here.shape({});
    let running = await here.start();
    const job = await work(here, running, 1);
    await running.stop();
    const installation = await installationOf(here.config.stateDir);
    // All but Pulumi's own backend: the book and its copies, the secret, the installation, the engine's files.
    for (const name of readdirSync(here.config.stateDir))
      if (name !== 'pulumi') rmSync(join(here.config.stateDir, name), { recursive: true });
    const recovered = await recoverStore({
      path: bookPath(here.config.stateDir),
      journalSince: bookFormat.journalSince,
      from: 'cloud',
      clock: systemClock,
      before: () => installationIs(here.config.stateDir, installation),
    });
    expect(recovered.kind).toBe('recovered');

    running = await here.start();
    const sync = (jobs: readonly string[]): Promise<unknown> =>
      running.service.sync('w1', { jobs: [...jobs], ageMs: 0 });
    const held = (): string | undefined =>
      running.service.status().members.find((m) => m.name === job.lease.vm?.member)?.reason ?? undefined;
    await eventually('its VM is held', 120_000, async () => {
      await sync(['1.site']);
      return held() === 'held';
    });
    // Another job is served meanwhile, elsewhere.
    const asked = await running.service.request('w1', jobRequest(2));
    if (asked.kind !== 'done') throw new Error(asked.detail);
    const other = await running.service.waitFor(asked.value.id, 'ready', 120_000, never, true);
    expect(other?.vm?.host).toBeDefined();
    expect(other?.vm?.host).not.toBe(job.host);
    await sync(['1.site', '2.site']);
    expect(held()).toBe('held');
    await stillWorks(here, job);
    // Its seal proves nothing any more: the secret is lost. It gets no lease, and is left alone.
    expect(running.service.lease(job.lease.id)).toBeNull();

    await releaseJob(running.service, 1);
    await eventually('its VM is gone', 240_000, async () => {
      await sync(['2.site']);
      return (await here.control.servers()).every(({ id }) => id !== job.server);
    });
    await releaseJob(running.service, 2);
  }, 600_000);
});
