import { afterEach, describe, expect, it } from '@jest/globals';
import { emptyBook } from '../../../src/pool/book.js';
import type { CellName, InstallationId } from '../../../src/pool/model.js';
import { defaultPolicy } from '../../../src/pool/policy.js';
import { releaseLostAddresses } from '../../../src/service/address-loop.js';
import { BookKeeper } from '../../../src/service/book-keeper.js';
import type { Loop } from '../../../src/service/loops.js';
import { epoch, shapeOf, specOf } from '../pool/fixture.js';
import { FakeCloud, fakeLog, FakeStore } from './fake-ports.js';
import { calm, ManualClock } from './manual-clock.js';

const minute = 60_000;
const withAddresses = shapeOf({ min: 1, spec: { ...specOf('g1'), floatingIpPool: 'public' } });

describe('floating IPs that no stack knows', () => {
  const loops: Loop[] = [];
  afterEach(async () => {
    for (const loop of loops.splice(0)) await loop.stop();
  });

  async function bench(shape = withAddresses) {
    const clock = new ManualClock();
    const cloud = new FakeCloud();
    const log = fakeLog();
    const context = () => ({ now: clock.now(), suffix: () => 's', policy: defaultPolicy, workers: [] });
    const book = emptyBook('i' as InstallationId, 'p', epoch);
    const keeper = new BookKeeper(book, new FakeStore(), context, () => undefined, log);
    await keeper.dispatch({ type: 'adopt', shape });
    const [member = ''] = keeper.durable().book.members.keys();
    const address = (id: string, changes: { member?: string; isAssociated?: boolean } = {}): void => {
      cloud.addresses.set(id, {
        ...{ id, address: `192.0.2.${id}`, member: 'p-0999-gone', isAssociated: false },
        ...changes,
      });
    };
    const start = async (): Promise<void> => {
      loops.push(releaseLostAddresses(keeper, cloud, clock, log));
      await calm();
    };
    const left = (): string[] => [...cloud.addresses.keys()].sort();
    const pass = async (minutes: number): Promise<void> => {
      for (let n = 0; n < minutes; n += 1) await clock.advance(minute);
    };
    return { clock, cloud, log, keeper, member, address, start, left, pass };
  }

  it('are released after a second listing and a look by id; one in use or of a member is not', async () => {
    const { clock, log, member, address, start, left, pass } = await bench();
    address('1');
    address('2', { isAssociated: true });
    address('3', { member });
    await start();
    await clock.advance(2 * minute - 1);
    expect(left()).toEqual(['1', '2', '3']);
    await clock.advance(1);
    expect(left()).toEqual(['2', '3']);
    expect(log.lines).toEqual([expect.stringContaining('released a floating IP that belonged to no stack')]);
    await pass(60);
    expect(left()).toEqual(['2', '3']);
  });

  it('are released also while their member lives, where it has another one that leads to it', async () => {
    const { member, address, start, left, pass } = await bench();
    address('1', { member });
    address('2', { member });
    await start();
    await pass(30);
    expect(left()).toEqual(['1', '2']);
    address('2', { member, isAssociated: true });
    await pass(15);
    expect(left()).toEqual(['2']);
  });

  it.each(['a port', 'another owner', 'nothing'])('stay when the look by id shows %s', async (what) => {
    const { cloud, log, address, start, left, pass } = await bench();
    address('1');
    await start();
    cloud.floatingIp = () =>
      Promise.resolve(
        what === 'a port'
          ? { id: '1', address: '192.0.2.1', member: 'p-0999-gone', isAssociated: true }
          : null,
      );
    await pass(30);
    expect(left()).toEqual(['1']);
    expect(log.lines).toEqual([]);
  });

  it('stay while there are cells that nobody has looked into', async () => {
    const { keeper, address, start, left, pass } = await bench();
    const cells = [{ cell: 'c007' as CellName, instances: null }];
    await keeper.dispatch({ type: 'cellsFound', cells });
    expect(keeper.durable().sight.unexplored).toEqual(['c007']);
    address('1');
    await start();
    await pass(30);
    expect(left()).toEqual(['1']);
    await keeper.dispatch({ type: 'cellsFound', cells: [] });
    await pass(12);
    expect(left()).toEqual([]);
  });

  it('are looked for again after a listing failed', async () => {
    const { cloud, log, address, start, left, pass } = await bench();
    address('1');
    const list = cloud.floatingIps.bind(cloud);
    cloud.floatingIps = () => Promise.reject(new Error('not well'));
    await start();
    expect(log.lines).toEqual([expect.stringContaining('could not be looked through')]);
    cloud.floatingIps = list;
    await pass(12);
    expect(left()).toEqual([]);
  });

  it('cost one call in ten minutes, and none where a pool has never had any', async () => {
    const using = await bench();
    await using.start();
    await using.pass(60);
    expect(using.cloud.addressListings).toBe(7);
    const without = await bench(shapeOf({ min: 1 }));
    await without.start();
    await without.pass(60);
    expect(without.cloud.addressListings).toBe(0);
    // Once it has, those that were lost are looked for also after its VMs have none any more.
    await without.keeper.dispatch({ type: 'adopt', shape: withAddresses });
    await without.pass(1);
    await without.keeper.dispatch({ type: 'adopt', shape: shapeOf({ min: 0, generation: 'g3' }) });
    await without.pass(10);
    expect(without.cloud.addressListings).toBe(2);
  });
});
