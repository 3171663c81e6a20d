import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { HistoryEntry } from '../../src/http/detail-api.js';
import type { LeaseView, MemberView } from '../../src/http/api.js';
import type { PoolService } from '../../src/service/port.js';
import { ApiClient } from '../embedded/bench.js';
import type { EmbeddedSite } from '../support/site.js';
import { eventually, leaseReady, membersIn, openSite, releaseJob } from '../support/site.js';

/**
 * What somebody may do to a server that is not theirs, what Nova shows then, what takes it back, and whether the VM
 * boots anew by that.
 */
const deeds = [
  {
    ...{ deed: 'stop', order: { 'os-stop': null }, shows: 'SHUTOFF' },
    ...{ undo: 'start', back: { 'os-start': null }, boots: true },
  },
  {
    ...{ deed: 'pause', order: { pause: null }, shows: 'PAUSED' },
    ...{ undo: 'unpause', back: { unpause: null }, boots: false },
  },
  {
    ...{ deed: 'suspend', order: { suspend: null }, shows: 'SUSPENDED' },
    ...{ undo: 'resume', back: { resume: null }, boots: false },
  },
  {
    ...{ deed: 'shelve', order: { shelve: null }, shows: 'SHELVED_OFFLOADED' },
    ...{ undo: 'unshelve', back: { unshelve: null }, boots: true },
  },
  {
    ...{ deed: 'rescue', order: { rescue: null }, shows: 'RESCUE' },
    ...{ undo: 'unrescue', back: { unrescue: null }, boots: true },
  },
];

/** Against hanging only: what is awaited comes in seconds, on a machine with other work in many more. */
const hangMs = 120_000;
const never = new AbortController().signal;

/** All that were opened, also those whose pool did not come to anything. */
const sites: EmbeddedSite[] = [];

interface Pool {
  readonly site: EmbeddedSite;
  readonly service: PoolService;
  /** Sends an action to a member's server through the cloud's own API, as an administrator with a command line would. */
  readonly act: (member: MemberView, action: object) => Promise<void>;
}

/** A pool of so many VMs, and no room for more, that has come to its minimum. */
async function open(subnet: string, vms: number, errorLimit: string): Promise<Pool> {
  // Nobody is idle for so long here: whoever goes, goes because of what was done to it.
  const policy = { errorLimit, idleBeforeShrink: '1h' };
  const shape = { min: vms, max: vms };
  const site = await openSite({ subnet, shape, policy });
  sites.push(site);
  await site.shape({});
  const { service } = await site.start();
  const administrator = new ApiClient(site.cloud, 'admin');
  const act = async ({ serverId }: MemberView, action: object): Promise<void> => {
    const path = `/compute/v2.1/servers/${serverId ?? ''}/action`;
    const { status, body } = await administrator.call('POST', path, { body: action });
    if (status >= 300) throw new Error(`${JSON.stringify(action)}: ${status} ${JSON.stringify(body)}`);
  };
  await eventually('the minimum, in its stacks', hangMs, () => {
    const { cells } = service.status();
    return membersIn(service, 'Free').length === vms && cells.every(({ running }) => !running);
  });
  return { site, service, act };
}

function memberNow({ service }: Pool, { name }: MemberView): MemberView | undefined {
  return service.status().members.find((member) => member.name === name);
}

/** Where a VM has gone since it first became Free, by the history. */
async function movesOf({ service }: Pool, { name }: MemberView): Promise<HistoryEntry[]> {
  const moves = (await service.history({ vm: name, most: 9_999 }, never)).filter(({ to }) => to !== null);
  return moves.slice(moves.findIndex(({ to }) => to === 'Free') + 1);
}

const words = (moves: readonly HistoryEntry[]): string => moves.map(({ to }) => to).join(' ');

describe('servers that somebody else stops, pauses, suspends, shelves, rescues or rebuilds', () => {
  /** Gives them all the time in the world to be put right. */
  let patient: Pool;
  /** Gives them hardly any. */
  let strict: Pool;
  let lease: LeaseView;
  let busy: MemberView;
  /** What was done, and the VM that it was done to, as it was before. */
  const toBePutRight = new Map<string, MemberView>();
  const leftSo = new Map<string, MemberView>();
  const problem = (): string => strict.service.status().problems.join('\n');
  const touched = (pool: ReadonlyMap<string, MemberView>, deed: string): MemberView => {
    const member = pool.get(deed);
    if (member === undefined) throw new Error(`${deed}: no VM was touched`);
    return member;
  };

  beforeAll(async () => {
    [patient, strict] = await Promise.all([
      open('127.133.0.0/16', deeds.length, '1h'),
      open('127.134.0.0/16', deeds.length + 2, '4s'),
    ]);
    lease = await leaseReady(strict.service, 1, hangMs);
    busy = membersIn(strict.service, 'Busy')[0] as MemberView;
    // Seen to be paused before anything is done to the others: it has outlasted its limit when they have theirs.
    await strict.act(busy, { pause: null });
    await eventually('the pause is noticed', hangMs, () => problem().includes('PAUSED'));

    const image = {
      rebuild: {
        imageRef: await new ApiClient(strict.site.cloud).idOf('/image/v2/images?name=debian-vm', 'images'),
      },
    };
    const orders = [...deeds, { deed: 'rebuild', order: image }];
    for (const [pool, these, all] of [
      [patient, deeds, toBePutRight],
      [strict, orders, leftSo],
    ] as const) {
      const free = membersIn(pool.service, 'Free');
      these.forEach(({ deed }, i) => all.set(deed, free[i] as MemberView));
      await Promise.all(these.map(({ deed, order }) => pool.act(touched(all, deed), order)));
    }
  }, 3 * hangMs);
  afterAll(async () => {
    await Promise.all(sites.map((site) => site.close()));
  }, hangMs);

  describe('a Free one', () => {
    it.each(deeds)(
      '$deed: is of no use, and its reason is that Nova shows $shows',
      async ({ deed, shows }) => {
        const before = touched(toBePutRight, deed);
        await eventually('noticed', hangMs, () => memberNow(patient, before)?.reason === 'error');
        expect(memberNow(patient, before)).toMatchObject({ state: 'Unusable', serverId: before.serverId });
        expect(patient.service.member(before.name)?.serverStatus).toBe(shows);
        const moves = await eventually('its history', hangMs, async () => {
          const found = await movesOf(patient, before);
          return found.some(({ to }) => to === 'error') && found;
        });
        // Probes may have found that it is silent before Nova was asked.
        expect(words(moves)).toMatch(/^(unreachable )?error$/);
        expect(moves.at(-1)?.detail).toContain(`Nova reports ${shows}: someone else changed this server`);
      },
      2 * hangMs,
    );

    it('is no failure of the cloud to make VMs', () => {
      expect(patient.service.status()).toMatchObject({
        counts: { free: 0, unusable: deeds.length },
        problems: [],
      });
      expect(patient.service.status().breaker).toMatchObject({ open: false, failures: 0 });
    });

    describe('put right in time', () => {
      beforeAll(async () => {
        await Promise.all(deeds.map(({ deed, back }) => patient.act(touched(toBePutRight, deed), back)));
      }, hangMs);

      it.each(deeds.filter(({ boots }) => boots))(
        '$undo after $deed: is verified, and goes because its boot has left other files than its baseline has',
        async ({ deed }) => {
          const before = touched(toBePutRight, deed);
          const moves = await eventually('Free again, or going', hangMs, async () => {
            const found = await movesOf(patient, before);
            return ['Free', 'deleting'].includes(found.at(-1)?.to ?? '') && found;
          });
          const told = moves.map(({ detail }) => detail).join('\n');
          expect(told).toMatch(
            /-> error: .*\n.*-> scrubbing: .*\nscrubbing -> deleting: not clean after the scrub: /,
          );
          expect(told).toContain('file: /run/');
        },
        2 * hangMs,
      );

      it.each(deeds.filter(({ boots }) => !boots))(
        '$undo after $deed: is verified, and Free again as the same VM',
        async ({ deed, undo }) => {
          const before = touched(toBePutRight, deed);
          const moves = await eventually('Free again, or gone', hangMs, async () => {
            const found = await movesOf(patient, before);
            return ['Free', 'deleting'].includes(found.at(-1)?.to ?? '') && found;
          });
          const told = moves.map(({ detail }) => detail).join('\n');
          expect(told).toMatch(
            /^(.*-> unreachable: .*\n)?.*-> error: .*\n.*-> scrubbing: .*\n.*-> Free: .*$/,
          );
          expect(memberNow(patient, before)).toMatchObject({ state: 'Free', serverId: before.serverId });
          expect(moves.at(-2)).toMatchObject({ decision: 'scrubbed', reason: 'answered' });
          const server = (await patient.site.control.servers()).find(({ id }) => id === before.serverId);
          expect(server).toMatchObject({ status: 'ACTIVE', actions: [undo, deed, 'create'] });
        },
        2 * hangMs,
      );

      it(
        'leaves the pool with its minimum',
        async () => {
          await eventually(
            'as many Free ones as before',
            hangMs,
            () => membersIn(patient.service, 'Free').length === deeds.length,
          );
          const names = membersIn(patient.service, 'Free').map(({ name }) => name);
          for (const { deed, boots } of deeds)
            expect(names.includes(touched(toBePutRight, deed).name)).toBe(!boots);
        },
        2 * hangMs,
      );
    });

    describe('left so', () => {
      it.each([...deeds, { deed: 'rebuild', shows: null }])(
        '$deed: is terminated after policy.errorLimit, and not before',
        async ({ deed, shows }) => {
          const before = touched(leftSo, deed);
          await eventually('gone', hangMs, () => memberNow(strict, before) === undefined);
          const moves = await movesOf(strict, before);
          expect(words(moves)).toMatch(/^(unreachable )?error deleting$/);
          const [error, end] = moves.slice(-2) as [HistoryEntry, HistoryEntry];
          // A rebuilt server is another one: its host key is not the known one.
          expect(error.detail).toMatch(shows === null ? /host key/ : `Nova reports ${shows}`);
          expect(end).toMatchObject({ decision: 'ended', reason: 'limit' });
          expect(end.detail).toContain('error for longer than 4 s');
          expect(Date.parse(end.at) - Date.parse(error.at)).toBeGreaterThan(4_000);
        },
        2 * hangMs,
      );

      it(
        'is replaced: others are made for the minimum, and the cloud has no server but theirs',
        async () => {
          const old = new Set([...leftSo.values()].map(({ name }) => name));
          await eventually(
            'others',
            hangMs,
            () => strict.service.status().members.length === deeds.length + 2,
          );
          const made = strict.service.status().members.filter(({ name }) => name !== busy.name);
          expect(made.filter(({ name }) => old.has(name))).toEqual([]);
          for (const { name } of made) expect(strict.service.member(name)?.made?.reason).toBe('minimum');
          await eventually('their servers', hangMs, async () => {
            const servers = (await strict.site.control.servers()).map(({ name }) => name).sort();
            const members = strict.service.status().members.map(({ name }) => name);
            return servers.join() === members.sort().join();
          });
        },
        2 * hangMs,
      );
    });
  });

  describe('a Busy one that is paused', () => {
    it('stays its job’s for longer than any limit, and the status says what is wrong', async () => {
      expect(memberNow(strict, busy)).toMatchObject({ state: 'Busy', serverId: busy.serverId });
      expect(memberNow(strict, busy)?.detail).toContain('Nova reports PAUSED');
      expect(problem()).toContain(`job 1.site runs on VM ${busy.name}, but Nova reports PAUSED`);
      expect(strict.service.lease(lease.id)).toMatchObject({ state: 'granted', ready: true, vm: lease.vm });
      const server = (await strict.site.control.servers()).find(({ id }) => id === busy.serverId);
      expect(server).toMatchObject({ status: 'PAUSED', actions: ['pause', 'create'] });
    });

    it(
      'goes on with its job when it is unpaused, and is Free after it',
      async () => {
        await strict.act(busy, { unpause: null });
        await eventually(
          'all is well',
          hangMs,
          () => problem() === '' && memberNow(strict, busy)?.detail === '',
        );
        expect(memberNow(strict, busy)?.state).toBe('Busy');
        expect(strict.service.lease(lease.id)).toMatchObject({ state: 'granted', ready: true, vm: lease.vm });
        await releaseJob(strict.service, 1);
        await eventually('Free', hangMs, () => memberNow(strict, busy)?.state === 'Free');
        expect(memberNow(strict, busy)?.serverId).toBe(busy.serverId);
        await eventually(
          'its history',
          hangMs,
          async () => words(await movesOf(strict, busy)) === 'Busy scrubbing Free',
        );
      },
      4 * hangMs,
    );
  });
});
