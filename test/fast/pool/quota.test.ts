import { describe, expect, it } from '@jest/globals';
import type { QuotaView } from '../../../src/cloud/port.js';
import { quotaHoldsMs } from '../../../src/pool/quota.js';
import { leaseView, statusView } from '../../../src/pool/views.js';
import { keyOf, Pool, ready, shapeOf, specOf, unlimitedQuota, viewOf } from './fixture.js';

const flavor = { vcpus: 2, ramMiB: 2048 };

/** A pool that wants five VMs, after a reading of the quota. */
function wanting(quota: Partial<QuotaView>, spec = specOf('g1')): Pool {
  const pool = new Pool(shapeOf({ max: 0, spec }));
  pool.event({ type: 'quota', quota: { ...unlimitedQuota, ...quota }, flavor });
  pool.pass(1_000);
  pool.adopt(shapeOf({ min: 5, max: 5, spec }));
  return pool;
}

const problems = (pool: Pool): string[] => statusView(pool.state, pool.context(), 'v').problems;

describe('a project’s quota', () => {
  it('without a limit, or not told by the cloud, holds nothing back', () => {
    const pool = wanting({});
    expect(pool.members()).toHaveLength(5);
    expect(problems(pool)).toEqual([]);
  });

  it.each([
    ['instances', { instances: { used: 18, limit: 20 } }, '18 of 20 instances used'],
    ['cores', { cores: { used: 15, limit: 20 } }, '15 of 20 cores used'],
    ['memory', { ramMiB: { used: 4096, limit: 9000 } }, '4096 of 9000 MiB of memory used'],
    ['ports', { ports: { used: 496, limit: 500 } }, '496 of 500 ports used'],
    ['floating IPs', { floatingIps: { used: 0, limit: 2 } }, '0 of 2 floating IPs used'],
    ['volumes', { volumes: { used: 8, limit: 10 } }, '8 of 10 volumes used'],
    ['space of volumes', { volumeGiB: { used: 950, limit: 1000 } }, '950 of 1000 GiB of volumes used'],
  ])('of %s lets only so many members be made, and says so', (_what, quota, words) => {
    const spec = {
      ...specOf('g1'),
      networks: ['net0', 'site0'],
      bootVolumeGiB: 20,
      floatingIpPool: 'public',
    };
    const pool = wanting(quota, spec);
    expect(pool.members()).toHaveLength(2);
    pool.ask(keyOf('1'));
    expect(problems(pool)).toEqual([expect.stringContaining(words)]);
  });

  it('of what the pool does not use counts for nothing', () => {
    const pool = wanting({ volumes: { used: 10, limit: 10 }, floatingIps: { used: 5, limit: 5 } });
    expect(pool.members()).toHaveLength(5);
    expect(statusView(pool.state, pool.context(), 'v').quota?.lines.map(({ what }) => what)).toEqual([
      'instances',
      'cores',
      'MiB of memory',
    ]);
  });

  it('that is used up tells a job what it waits for', () => {
    const pool = new Pool(shapeOf({ max: 2 }));
    pool.event({ type: 'quota', quota: { ...unlimitedQuota, cores: { used: 19, limit: 20 } }, flavor });
    const id = pool.ask(keyOf('1'));
    expect(pool.members()).toEqual([]);
    expect(leaseView(pool.state, id)?.detail).toMatch(
      /^no VM is free; .* 19 of 20 cores used, a VM takes 2; have it raised/,
    );
  });

  it('that was raised lets the rest be made, and members made since the reading are not forgotten', () => {
    const pool = wanting({ instances: { used: 18, limit: 20 } });
    pool.pass(60_000);
    expect(pool.members()).toHaveLength(2);
    // Those two may or may not be in this reading.
    pool.event({ type: 'quota', quota: { ...unlimitedQuota, instances: { used: 18, limit: 22 } }, flavor });
    expect(pool.members()).toHaveLength(4);
    expect(problems(pool)).toEqual([expect.stringContaining('are being made')]);
    pool.event({ type: 'quota', quota: { ...unlimitedQuota, instances: { used: 22, limit: 30 } }, flavor });
    expect(pool.members()).toHaveLength(5);
    expect(problems(pool)).toEqual([]);
  });

  it('does not forget members that were being built at its reading, once they have a server', () => {
    const pool = wanting({ instances: { used: 18, limit: null } });
    pool.pass(60_000);
    expect(pool.members()).toHaveLength(5);
    // Their volumes are made late in the build: this reading has none of them.
    pool.event({ type: 'quota', quota: { ...unlimitedQuota, cores: { used: 0, limit: 10 } }, flavor });
    for (const [n, { name, cell }] of pool.members().entries())
      pool.event({ type: 'listed', servers: [viewOf(name, `s${String(n)}`, { cell })], complete: false });
    pool.adopt(shapeOf({ min: 7, max: 7 }));
    expect(pool.members()).toHaveLength(5);
    expect(problems(pool)).toEqual([expect.stringContaining('5 VMs are being made')]);
  });

  it('counts what stood when it was read once: it is in the figures', () => {
    const pool = ready(3, { max: 3 }).pass(1_000);
    pool.event({ type: 'quota', quota: { ...unlimitedQuota, instances: { used: 3, limit: 5 } }, flavor });
    pool.pass(1_000);
    pool.adopt(shapeOf({ min: 9, max: 9 }));
    expect(pool.members()).toHaveLength(5);
  });

  it('whose reading is old decides nothing', () => {
    const pool = new Pool(shapeOf({ max: 0 }));
    pool.event({ type: 'quota', quota: { ...unlimitedQuota, instances: { used: 20, limit: 20 } }, flavor });
    pool.pass(quotaHoldsMs + 1);
    pool.adopt(shapeOf({ min: 1, max: 1 }));
    expect(pool.members()).toHaveLength(1);
  });
});
