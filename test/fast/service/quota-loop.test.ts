import { describe, expect, it } from '@jest/globals';
import type { QuotaView } from '../../../src/cloud/port.js';
import { emptyBook } from '../../../src/pool/book.js';
import type { InstallationId } from '../../../src/pool/model.js';
import { defaultPolicy } from '../../../src/pool/policy.js';
import { quotaHoldsMs } from '../../../src/pool/quota.js';
import { BookKeeper } from '../../../src/service/book-keeper.js';
import { watchQuota } from '../../../src/service/quota-loop.js';
import { epoch, shapeOf } from '../pool/fixture.js';
import { FakeCloud, fakeLog, FakeStore } from './fake-ports.js';
import { calm, ManualClock } from './manual-clock.js';

/** A cloud that counts how often its quota was read. */
class QuotaCloud extends FakeCloud {
  reads = 0;
  instances: { used: number; limit: number | null } | null = { used: 0, limit: 20 };

  override quota(): Promise<QuotaView> {
    this.reads += 1;
    const { instances } = this;
    if (instances === null) return Promise.reject(new Error('not well'));
    return super.quota().then((quota) => ({ ...quota, instances }));
  }
}

describe('the reading of the quota', () => {
  const bench = () => {
    const clock = new ManualClock();
    const cloud = new QuotaCloud();
    const log = fakeLog();
    let made = 0;
    const context = () => ({
      now: clock.now(),
      suffix: () => `s${(made += 1)}`,
      policy: defaultPolicy,
      workers: [],
    });
    const book = emptyBook('i' as InstallationId, 'p', epoch);
    const keeper = new BookKeeper(book, new FakeStore(), context, () => undefined, log);
    return { clock, cloud, keeper, log, loop: watchQuota(keeper, cloud, clock, log) };
  };

  it('waits for a shape, then is seldom, and often while it holds the pool back', async () => {
    const { clock, cloud, keeper, loop } = bench();
    await clock.advance(60_000);
    expect(cloud.reads).toBe(0);
    await keeper.dispatch({ type: 'adopt', shape: shapeOf({ max: 5 }) });
    await clock.advance(5_000);
    expect(cloud.reads).toBe(1);
    expect(keeper.durable().sight.quota?.quota.instances).toEqual({ used: 0, limit: 20 });
    await clock.advance(120_000);
    expect(cloud.reads).toBe(1);
    await clock.advance(125_000);
    expect(cloud.reads).toBe(2);

    cloud.instances = { used: 20, limit: 20 };
    await clock.advance(245_000);
    expect(cloud.reads).toBe(3);
    await keeper.dispatch({ type: 'adopt', shape: shapeOf({ min: 2, max: 5 }) });
    expect(keeper.durable().sight.heldBack).toMatchObject({ what: 'instances', used: 20 });
    cloud.instances = { used: 10, limit: 20 };
    await clock.advance(40_000);
    expect(cloud.reads).toBe(4);
    expect(keeper.durable().book.members.keys()).toHaveLength(2);
    expect(keeper.durable().sight.heldBack).toBeNull();
    await loop.stop();
  });

  it('that fails holds nothing back for longer than the reading before it counts', async () => {
    const { clock, cloud, keeper, log, loop } = bench();
    cloud.instances = { used: 20, limit: 20 };
    await keeper.dispatch({ type: 'adopt', shape: shapeOf({ max: 5 }) });
    await clock.advance(5_000);
    cloud.instances = null;
    await clock.advance(quotaHoldsMs + 5_000);
    expect(log.lines).toContainEqual(expect.stringContaining('the quota could not be read'));
    await keeper.dispatch({ type: 'adopt', shape: shapeOf({ min: 1, max: 5 }) });
    await calm();
    expect(keeper.durable().book.members.keys()).toHaveLength(1);
    await loop.stop();
  });
});
