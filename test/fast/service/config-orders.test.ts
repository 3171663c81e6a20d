import { beforeEach, describe, expect, it } from '@jest/globals';
import type { PoolConfigInForce, PoolStackWish, StackConfig } from '../../../src/engine/port.js';
import { lastGood } from '../../../src/engine/pool-stack.js';
import { projectDefaults, projectTypes } from '../../../src/engine/stack-config.js';
import { emptyBook, type Note } from '../../../src/pool/book.js';
import type { InstallationId } from '../../../src/pool/model.js';
import {
  nextConfig,
  shapeOf,
  type ConfigChange,
  type ConfigWish,
} from '../../../src/service/config-changes.js';
import { configOrders, type ConfigOrderParts } from '../../../src/service/config-orders.js';
import { unlimitedQuota } from '../pool/fixture.js';
import { FakeCloud, FakeEngine } from './fake-ports.js';
import { deferred } from './manual-clock.js';

const config: StackConfig = {
  'vmpool:min': 1,
  'vmpool:max': 40,
  'vmpool:flavor': 'small',
  'vmpool:image': 'debian',
  'vmpool:networks': ['net0'],
  'vmpool:adminKey': 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6 vmpool',
};
const inForce = (changes: Partial<PoolConfigInForce> = {}): PoolConfigInForce => ({
  ...{ config, encrypted: [], message: '', at: '0' },
  ...changes,
});
const wish = (change: ConfigChange, more: Partial<ConfigWish> = {}): ConfigWish => ({
  ...{ change, who: 'alice', reason: 'a deadline', dryRun: false },
  ...more,
});
const scale = (sizes: Readonly<Record<string, number>>): ConfigChange => ({ kind: 'scale', sizes });
const apply = (changes: StackConfig, overwrite = false): ConfigChange => ({
  kind: 'apply',
  config: { ...config, ...changes },
  overwrite,
});

describe('orders that change the config of the pool stack', () => {
  let engine: FakeEngine;
  let cloud: FakeCloud;
  let told: Note[];
  let adoption: Awaited<ReturnType<ConfigOrderParts['adopt']>>;
  let order: ReturnType<typeof configOrders>;
  beforeEach(() => {
    cloud = new FakeCloud();
    engine = new FakeEngine(cloud);
    engine.config = inForce();
    told = [];
    adoption = { kind: 'done', value: { detail: 'adopted: max 60' } };
    order = configOrders({
      ...{ engine, cloud, now: () => 5, stopping: new AbortController().signal },
      book: () => emptyBook('i' as InstallationId, 'p', 0),
      adopt: () => Promise.resolve(adoption),
      tell: (note) => void told.push(note),
    });
  });

  it('bring the stack up with the one key changed, adopt it, and are told with who and why', async () => {
    expect(await order(wish(scale({ max: 60 })))).toEqual({
      kind: 'done',
      value: {
        applied: true,
        detail: 'adopted: max 60',
        changes: [{ key: 'vmpool:max', from: '40', to: '60' }],
        warnings: [],
      },
    });
    expect(engine.config?.config).toEqual({ ...config, 'vmpool:max': 60 });
    expect(engine.config?.message).toBe('vmpool scale max=60 (alice: a deadline)');
    expect(told).toEqual([
      { at: 5, kind: 'config', detail: 'vmpool scale max=60 (alice: a deadline): vmpool:max 40 -> 60' },
    ]);
  });

  it('touch nothing in a dry run', async () => {
    const answer = await order(wish(apply({ 'vmpool:spare': 2 }), { dryRun: true }));
    expect(answer).toMatchObject({
      value: { applied: false, changes: [{ key: 'vmpool:spare', from: '0', to: '2' }] },
    });
    expect([engine.config, told]).toEqual([inForce(), []]);
  });

  it('bring nothing up when nothing changes, and have it adopted all the same', async () => {
    const answer = await order(wish(apply({ 'vmpool:spare': '0' })));
    expect(answer).toMatchObject({
      value: { applied: false, detail: 'nothing to change; adopted: max 60' },
    });
    expect(engine.config).toEqual(inForce());
  });

  it.each([
    [scale({ min: 50 }), 'inconsistent-input', 'vmpool:min: 50 is more than vmpool:max (40)'],
    [apply({ 'vmpool:maxx': 1 }), 'inconsistent-input', 'vmpool:maxx: is unknown'],
    [apply({ 'vmpool:kind': 'summary' }), 'inconsistent-input', 'vmpool:kind'],
    [apply({ 'openstack:password': 'x' }), 'inconsistent-input', 'openstack:password: only keys'],
    [apply({ 'vmpool:flavor': 'none' }), 'conflict', 'there is no none'],
  ])('are refused with the reason before anything is brought up (%#)', async (change, code, why) => {
    cloud.absent.add('none');
    expect(await order(wish(change))).toMatchObject({
      kind: 'refused',
      code,
      detail: expect.stringContaining(why),
    });
    expect(engine.config).toEqual(inForce());
  });

  it('tell what the quota lacks', async () => {
    cloud.quota = () => Promise.resolve({ ...unlimitedQuota, instances: { used: 0, limit: 50 } });
    expect(await order(wish(scale({ max: 60 })))).toMatchObject({
      value: { applied: true, warnings: [expect.stringContaining('the project has 50 left of 50')] },
    });
  });

  it('say that the stack is up when the service does not adopt it all the same', async () => {
    adoption = { kind: 'refused', code: 'conflict', detail: 'the image is gone' };
    expect(await order(wish(scale({ max: 60 })))).toMatchObject({
      code: 'conflict',
      detail: 'the pool stack is up with it, but the service does not adopt it: the image is gone',
    });
  });

  it('pass on why Pulumi did not bring it up, and come one at a time', async () => {
    const update = deferred<void>();
    engine.onUpdatePool = () => update.promise;
    const first = order(wish(scale({ max: 60 })));
    expect(await order(wish(scale({ max: 61 })))).toMatchObject({ code: 'conflict' });
    update.reject(new Error('stack p is locked by op@host'));
    expect(await first).toMatchObject({ code: 'unavailable', detail: 'stack p is locked by op@host' });
    engine.onUpdatePool = () => Promise.resolve();
    expect(await order(wish(scale({ max: 61 })))).toMatchObject({ kind: 'done' });
  });

  it('name the update that the config was made from', async () => {
    const wishes: PoolStackWish[] = [];
    engine.onUpdatePool = (given) => {
      wishes.push(given);
      return Promise.resolve();
    };
    await order(wish(scale({ max: 60 })));
    engine.config = null;
    await order(wish(apply({})));
    expect(wishes.map(({ since }) => since)).toEqual(['0', null]);
    expect(await order(wish(scale({ max: 60 })))).toMatchObject({
      detail: expect.stringContaining('never been brought up'),
    });
  });

  it('a file that takes back what scale has set is refused until it says the same or is to overwrite', async () => {
    await order(wish(scale({ max: 60 })));
    await order(wish(scale({ spare: 2 }), { reason: 'more\nlines' }));
    expect(engine.config?.message).toBe('vmpool scale max=60 spare=2 (alice: more lines)');
    expect(await order(wish(apply({})))).toMatchObject({
      code: 'conflict',
      detail: expect.stringMatching(
        /vmpool scale max=60 spare=2 .*: vmpool:max is 60, the file says 40; vmpool:spare is 2, the file says 0/,
      ),
    });
    const agreeing = { 'vmpool:max': 60, 'vmpool:spare': 2, 'vmpool:min': 2 };
    expect(await order(wish(apply(agreeing)))).toMatchObject({ value: { applied: true } });
    // From now on the file has them.
    expect(await order(wish(apply({})))).toMatchObject({ value: { applied: true } });
    await order(wish(scale({ max: 70 })));
    expect(await order(wish(apply({}, true)))).toMatchObject({ value: { applied: true } });
  });
});

describe('the config in force', () => {
  const update = (changes: object): object => ({
    ...{ kind: 'update', result: 'succeeded', startTime: 't1', message: 'm', config: {} },
    ...changes,
  });
  it('is that of the last update that went through, values as they would be written', () => {
    const found = lastGood(
      [
        update({ result: 'failed', startTime: 't3' }),
        update({ kind: 'refresh', startTime: 't2' }),
        update({
          config: {
            'vmpool:max': { value: '40', secret: false },
            'vmpool:maxAge': { value: '7d' },
            'vmpool:flavor': { value: '4' },
            'vmpool:configDrive': { value: 'true' },
            'vmpool:networks': { value: '["net0"]', objectValue: ['net0'] },
            'vmpool:metadata': { secret: true },
          },
        }),
        update({ startTime: 't0' }),
      ],
      projectTypes(),
    );
    expect(found).toEqual({
      config: {
        'vmpool:max': 40,
        'vmpool:maxAge': '7d',
        'vmpool:flavor': '4',
        'vmpool:configDrive': true,
        'vmpool:networks': ['net0'],
      },
      encrypted: ['vmpool:metadata'],
      message: 'm',
      at: 't1',
    });
    expect(nextConfig(found, scale({ max: 1 }))).toMatchObject({
      ok: false,
      why: expect.stringContaining('vmpool:metadata'),
    });
    expect(lastGood([], projectTypes())).toBeNull();
  });
  it('holds every default that Pulumi.yaml declares, and is a shape', () => {
    expect(shapeOf({ ...projectDefaults(), ...config }, {})).toMatchObject({ ok: true });
  });
});
