import { afterEach, describe, expect, it } from '@jest/globals';
import { startFollowers, serviceProblems, type Followers } from '../../../src/service/followers.js';
import type { ServiceInput } from '../../../stacks/services/plan.js';
import { servicesSchema, type Services } from '../../../stacks/services/registry.js';
import { serviceInput } from '../../support/service-host.js';
import { FakeCloud, FakeEngine, fakeLog, type FakeLog } from './fake-ports.js';
import { calm, deferred, ManualClock, until } from './manual-clock.js';

interface Bench {
  readonly clock: ManualClock;
  readonly engine: FakeEngine;
  readonly log: FakeLog;
  readonly followers: Followers;
  /** What the pool would tell now. */
  input: ServiceInput | null;
}

const open: Followers[] = [];
afterEach(async () => {
  for (const followers of open.splice(0)) await followers.stop();
});

const start = (): Bench => {
  const [clock, engine, log] = [new ManualClock(), new FakeEngine(new FakeCloud()), fakeLog()];
  const bench: Bench = {
    ...{ clock, engine, log, input: serviceInput(1) },
    followers: startFollowers({ pool: 'batch', clock, engine, log, input: () => bench.input }),
  };
  open.push(bench.followers);
  return bench;
};
const services = (changes: Record<string, object>): Services =>
  servicesSchema.parse(
    Object.fromEntries(
      Object.entries(changes).map(([name, more]) => [
        name,
        { type: 'command', host: 'local', apply: 'true', ...more },
      ]),
    ),
  );
const told = ({ engine }: Bench, name = 'hosts'): number[] =>
  engine.serviceWishes.filter(({ service }) => service === name).map(({ input }) => input.members.length);
const view = ({ followers }: Bench, name = 'hosts') =>
  followers.views().find((service) => service.name === name);
const started = async (names: Record<string, object> = { hosts: {} }): Promise<Bench> => {
  const bench = start();
  await bench.followers.adopt(services(names));
  await calm();
  return bench;
};

describe('what follows the nodes', () => {
  it('is told at once of what there is, and looks whether its host has it', async () => {
    const b = await started();
    expect(told(b)).toEqual([1]);
    expect(b.engine.serviceWishes[0]).toMatchObject({ service: 'hosts', verify: true });
    expect(view(b)).toMatchObject({ hosts: 1, toAdd: 0, toRemove: 0, upToDate: true, lastError: null });
  });

  it('makes one update of ten changes in a second, with the newest list', async () => {
    const b = await started();
    for (let n = 2; n <= 11; n += 1) {
      b.input = serviceInput(n);
      await b.clock.advance(100);
    }
    await until(b.clock, 'an update', () => view(b)?.hosts === 11);
    expect(told(b)).toEqual([1, 11]);
    expect(b.engine.serviceWishes[1]).toMatchObject({ verify: false });
  });

  it('waits for no end of changes that do not end', async () => {
    const b = await started();
    const since = b.clock.now();
    for (let n = 2; told(b).length < 2; n += 1) {
      b.input = serviceInput(n);
      await b.clock.advance(300);
      if (n > 100) throw new Error('nothing was told for 30 s');
    }
    expect(b.clock.now() - since).toBeLessThanOrEqual(6_500);
  });

  it('does nothing when a change is undone while it is gathered', async () => {
    const b = await started();
    b.input = serviceInput(2);
    await b.clock.advance(500);
    b.input = serviceInput(1);
    for (let n = 0; n < 100; n += 1) await b.clock.advance(100);
    expect(told(b)).toEqual([1]);
    expect(view(b)).toMatchObject({ upToDate: true, behindSince: null });
  });

  it('lets the newest list win when half the VMs change while an update runs', async () => {
    const b = await started();
    const running = deferred<void>();
    b.engine.onService = () => running.promise;
    b.input = serviceInput(4);
    await until(b.clock, 'an update under way', () => view(b)?.running === true);
    const half = serviceInput(6);
    b.input = { ...half, members: half.members.slice(2) };
    await b.clock.advance(5_000);
    b.input = { ...half, members: half.members.slice(3) };
    await b.clock.advance(5_000);
    expect(told(b)).toEqual([1, 4]);
    expect(view(b)).toMatchObject({ hosts: 1, toAdd: 3, toRemove: 1, upToDate: false });
    b.engine.onService = () => Promise.resolve();
    running.resolve();
    await until(b.clock, 'the newest list', () => view(b)?.upToDate === true);
    expect(told(b)).toEqual([1, 4, 3]);
    expect(b.engine.serviceWishes.at(-1)?.input).toEqual(b.input);
  });

  it('tries again after 5, 10, 20 s and so on up to 5 minutes, and says since when and why', async () => {
    const b = await started();
    const behindFrom = b.clock.now();
    b.engine.onService = () => Promise.reject(new Error('ssh: no route to host'));
    b.input = serviceInput(3);
    const pauses: number[] = [];
    let last = 0;
    for (let step = 0; step < 20_000 && pauses.length < 9; step += 1) {
      const before = told(b).length;
      await b.clock.advance(500);
      if (told(b).length === before) continue;
      if (last > 0) pauses.push(Math.round((b.clock.now() - last) / 1000));
      last = b.clock.now();
    }
    expect(pauses).toEqual([5, 10, 20, 40, 80, 160, 300, 300, 300]);
    expect(view(b)).toMatchObject({
      ...{ hosts: 1, toAdd: 2, upToDate: false, lastError: 'ssh: no route to host' },
      nextTry: new Date(last + 300_000).toISOString(),
    });
    const since = Date.parse(view(b)?.behindSince ?? '');
    expect(since - behindFrom).toBeLessThanOrEqual(500);
    expect(serviceProblems(b.followers.views())).toEqual([
      expect.stringMatching(/^service hosts is not up to date since .*2 VMs to add.*no route to host$/),
    ]);
    // The list of that moment and no earlier one, and its host is looked at.
    b.engine.onService = () => Promise.resolve();
    b.input = serviceInput(2);
    await b.clock.advance(299_000);
    await until(b.clock, 'an update', () => view(b)?.upToDate === true);
    expect(told(b).at(-1)).toBe(2);
    expect(b.engine.serviceWishes.at(-1)?.verify).toBe(true);
    expect(serviceProblems(b.followers.views())).toEqual([]);
  }, 60_000);

  it('tries at once with settings that may have mended it', async () => {
    const b = start();
    b.engine.onService = () => Promise.reject(new Error('no such file'));
    await b.followers.adopt(services({ hosts: {} }));
    await until(b.clock, 'four failures', () => told(b).length === 4);
    b.engine.onService = () => Promise.resolve();
    await b.followers.adopt(services({ hosts: { apply: '/usr/local/sbin/update' } }));
    await b.clock.advance(500);
    expect(view(b)).toMatchObject({ upToDate: true });
    expect(b.engine.serviceWishes.at(-1)?.settings).toMatchObject({ apply: '/usr/local/sbin/update' });
  });

  it('never waits for another one that hangs', async () => {
    const b = await started({ hosts: {}, slow: {} });
    b.engine.onService = ({ service }, signal) =>
      service === 'slow'
        ? new Promise((_, reject) => {
            signal.addEventListener('abort', () => {
              reject(new Error('stopped'));
            });
          })
        : Promise.resolve();
    for (const n of [2, 3, 4]) {
      b.input = serviceInput(n);
      await until(b.clock, 'an update of the other', () => view(b)?.hosts === n);
    }
    expect(view(b, 'slow')).toMatchObject({ running: true, hosts: 1, toAdd: 3, upToDate: false });
    // And the end of the service ends it.
    await b.followers.stop();
    expect(view(b, 'slow')).toMatchObject({ running: false });
  });

  it('looks at a host every 15 minutes when nothing changes', async () => {
    const b = await started();
    await b.clock.advance(14 * 60_000);
    expect(told(b)).toHaveLength(1);
    await until(b.clock, 'a look', () => told(b).length === 2);
    expect(b.engine.serviceWishes[1]).toMatchObject({ verify: true });
  });

  it('tells nobody anything while it is not known who is there', async () => {
    const b = start();
    b.input = null;
    await b.followers.adopt(services({ hosts: {} }));
    for (let n = 0; n < 20; n += 1) await b.clock.advance(500);
    expect(told(b)).toEqual([]);
    expect(view(b)).toMatchObject({ upToDate: false, toAdd: 0, toRemove: 0 });
    b.input = serviceInput(2);
    await until(b.clock, 'an update', () => view(b)?.upToDate === true);
    b.input = null;
    await b.clock.advance(500);
    expect(view(b)).toMatchObject({ hosts: 2, toAdd: 0, toRemove: 0 });
    expect(told(b)).toEqual([2]);
  });

  it('takes out what is no longer configured, also what an earlier run left', async () => {
    const b = start();
    b.engine.existingServices = ['hosts', 'old'];
    await b.followers.adopt(services({ hosts: {}, other: {} }));
    await until(b.clock, 'the end of the old one', () => b.engine.removedServices.length === 1);
    await b.followers.adopt(services({ hosts: {} }));
    await until(b.clock, 'the end of the other', () => b.engine.removedServices.length === 2);
    expect(b.engine.removedServices).toEqual(['old', 'other']);
    await until(b.clock, 'one to be left', () => b.followers.views().length === 1);
    // It can come back.
    await b.followers.adopt(services({ hosts: {}, other: {} }));
    await until(b.clock, 'its return', () => view(b, 'other')?.upToDate === true);
  });

  it('tells each kind only what is its business', async () => {
    const b = start();
    b.input = serviceInput(2, { slots: { wn1: 4 } });
    await b.followers.adopt(
      servicesSchema.parse({
        torque: { type: 'torque', host: 'local' },
        hosts: { type: 'command', host: 'local', apply: 'true' },
      }),
    );
    await calm();
    const inputs = Object.fromEntries(b.engine.serviceWishes.map(({ service, input }) => [service, input]));
    expect(inputs['torque']).toMatchObject({ members: [], slots: { wn1: 4 } });
    expect(inputs['hosts']).toMatchObject({ slots: {} });
    expect(inputs['hosts']?.members).toHaveLength(2);
    b.input = serviceInput(3, { slots: { wn1: 4 } });
    await until(b.clock, 'an update of the hosts', () => view(b)?.hosts === 3);
    expect(told(b, 'torque')).toHaveLength(1);
  });
});
