import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { collectEvents, stackOf, startEngineBench, until, type EngineBench } from '../support/engine.js';

const minutes = 60_000;
const never = new AbortController().signal;

describe('cells side by side', () => {
  let bench: EngineBench;
  beforeAll(async () => {
    bench = await startEngineBench();
  }, minutes);
  afterAll(() => bench.close(), minutes);

  it(
    'do not wait for each other, and an aborted one leaves a state that goes on',
    async () => {
      await bench.fault({ effect: { kind: 'stuck-in-build' }, server: 'p-1-stuck' });
      const stop = new AbortController();
      const slow = collectEvents();
      const stuck = bench.engine.converge(
        bench.wish('c001', [bench.member('p-1-stuck')]),
        slow.take,
        stop.signal,
      );
      const quick = await bench.engine.converge(
        bench.wish('c002', [bench.member('p-2-quick')]),
        () => undefined,
        never,
      );
      expect(quick).toMatchObject({ ok: true, state: { instances: [{ member: 'p-2-quick' }] } });

      await until('the stuck server is in the cloud', async () => (await bench.servers()).has('p-1-stuck'));
      stop.abort();
      const id = (await bench.servers()).get('p-1-stuck');
      if (id !== undefined) {
        await bench.cloud.deleteServer(id, never);
      }
      expect((await stuck).ok).toBe(false);
      await bench.clearFaults();

      const after = await bench.engine.converge(
        bench.wish('c001', [bench.member('p-3-next')], ['p-1-stuck']),
        () => undefined,
        never,
      );
      expect(after).toMatchObject({ ok: true, state: { instances: [{ member: 'p-3-next' }], unlisted: [] } });
    },
    3 * minutes,
  );

  it(
    'boot from volumes that go with their servers, and wait as the cloud asks',
    async () => {
      const changes = { bootVolumeGiB: 20 };
      await bench.fault({ effect: { kind: 'volume-error' }, server: 'p-31-bad' });
      const order = { kind: 'api-error', service: 'compute', method: 'POST', status: 429, retryAfterS: 1 } as const;
      await bench.fault({ effect: { ...order, path: '/v2.1/servers' }, times: 2 });
      const cut = { kind: 'connection-reset', service: 'compute', method: 'GET' } as const;
      await bench.fault({ effect: { ...cut, path: '/v2.1/servers/*-*-*-*-*' }, times: 1 });
      const members = ['p-30-vol', 'p-31-bad'].map((name) => bench.member(name, changes));
      const made = await bench.engine.converge(bench.wish('c005', members), () => undefined, never);
      await bench.clearFaults();
      expect(made.ok).toBe(false);
      expect(made.state?.instances.map(({ member }) => member).sort()).toEqual(['p-30-vol', 'p-31-bad']);

      const seen = (await bench.cloud.listOurs(never)).servers;
      expect(seen.find(({ name }) => name === 'p-30-vol')).toMatchObject({ status: 'ACTIVE', fault: null });
      expect(seen.find(({ name }) => name === 'p-31-bad')).toMatchObject({
        status: 'ERROR',
        fault: expect.stringMatching(/Volume .* did not finish being created/),
      });
      expect(await bench.cloud.quota(never)).toMatchObject({
        volumes: { used: 2 },
        volumeGiB: { used: 40 },
      });

      const gone = await bench.engine.converge(
        bench.wish('c005', [], ['p-30-vol', 'p-31-bad']),
        () => undefined,
        never,
      );
      expect(gone).toMatchObject({ ok: true, state: { instances: [] } });
      await until('no volume is left', async () => (await bench.cloud.quota(never)).volumes?.used === 0);
    },
    4 * minutes,
  );

  it(
    'bring servers with a group, a floating IP, two networks and a zone, and take them down again',
    async () => {
      const changes = {
        networks: ['net0', 'site0'],
        siteNetwork: 'site0',
        floatingIpPool: 'public',
        serverGroupPolicy: 'soft-anti-affinity',
        availabilityZones: ['nova'],
        configDrive: true,
      } as const;
      const { events, take } = collectEvents();
      const members = ['p-10-aa', 'p-11-bb'].map((name) => bench.member(name, changes));
      const made = await bench.engine.converge(bench.wish('c003', members), take, never);
      expect(made).toEqual(expect.objectContaining({ ok: true, state: expect.anything() }));
      const last = events.filter(({ member }) => member === 'p-10-aa').at(-1);
      expect(last).toMatchObject({
        type: 'created',
        addresses: {
          net0: [expect.stringMatching(/^127/), expect.stringMatching(/^127/)],
          site0: [expect.stringMatching(/^127/)],
        },
      });
      const preview = await bench.plain(stackOf(bench, 'c003'), ['preview', '--expect-no-changes']);
      expect(preview.code).toBe(0);

      const one = await bench.engine.converge(
        bench.wish('c003', members.slice(1), ['p-10-aa']),
        () => undefined,
        never,
      );
      expect(one).toMatchObject({ ok: true, state: { instances: [{ member: 'p-11-bb' }] } });
      const none = await bench.engine.converge(bench.wish('c003', [], ['p-11-bb']), () => undefined, never);
      expect(none).toEqual({ ok: true, state: { instances: [], lostCreates: [], unlisted: [] } });
      const empty = await bench.plain(stackOf(bench, 'c003'), ['preview', '--json']);
      expect(empty.output).toMatch(/"changeSummary": \{\s*"same": 1\s*\}/);
    },
    3 * minutes,
  );

  it(
    'report a create that the cloud refuses in the words of the cloud',
    async () => {
      await bench.fault({ effect: { kind: 'quota' }, server: 'p-20-aa' });
      const { events, take } = collectEvents();
      const members = ['p-20-aa', 'p-21-bb'].map((name) => bench.member(name));
      const result = await bench.engine.converge(bench.wish('c004', members), take, never);
      expect(result).toMatchObject({
        ok: false,
        kind: 'resources',
        state: { instances: [{ member: 'p-21-bb' }], lostCreates: [] },
      });
      expect(events).toEqual([
        expect.objectContaining({
          type: 'createFailed',
          member: 'p-20-aa',
          message: expect.stringMatching(/quota/i),
        }),
        expect.objectContaining({ type: 'created', member: 'p-21-bb' }),
      ]);
    },
    2 * minutes,
  );
});
