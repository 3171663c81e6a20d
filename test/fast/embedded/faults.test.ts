import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiBench } from './bench.js';

describe('faults to order', () => {
  let bench: ApiBench;
  beforeEach(async () => {
    bench = await ApiBench.start();
  });
  afterEach(() => bench.stop());

  it('leaves servers stuck, in ERROR, or without a host, by name and number of times', async () => {
    await bench.control.fault({ kind: 'stuck-in-build' }, { server: 'p-1*', times: 1 });
    await bench.control.fault({ kind: 'error-at-boot', message: 'the disk burst' }, { server: 'p-2' });
    await bench.control.fault({ kind: 'no-valid-host' }, { server: 'p-3' });
    const ids = await Promise.all(['p-1a', 'p-1b', 'p-2', 'p-3'].map((name) => bench.server(name)));
    await bench.clock.advance(100_000);
    const shown = await Promise.all(ids.map((id) => bench.show(id)));
    const byName = Object.fromEntries(shown.map((server) => [String(server['name']), server]));
    expect([byName['p-1a']?.['status'], byName['p-1b']?.['status']].sort()).toEqual(['ACTIVE', 'BUILD']);
    expect(byName['p-2']).toMatchObject({ status: 'ERROR', fault: { code: 500, message: 'the disk burst' } });
    expect(byName['p-3']).toMatchObject({
      status: 'ERROR',
      fault: { message: 'No valid host was found. There are not enough hosts available.' },
    });
    expect((await bench.control.faults()).map((fault) => fault.struck)).toEqual([1, 1]);
  });

  it('answers calls with errors that are chosen by service, method and path', async () => {
    await bench.control.fault(
      {
        kind: 'api-error',
        service: 'compute',
        method: 'POST',
        path: '/v2.1/servers',
        status: 503,
        retryAfterS: 7,
      },
      { times: 1 },
    );
    const refused = await bench.order('x');
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('7');
    expect(refused.body).toHaveProperty('serviceUnavailable');
    expect(await bench.names('/servers')).toEqual([]);
    expect((await bench.order('x')).status).toBe(202);
    await bench.control.fault({ kind: 'api-error', service: 'network', status: 500 });
    expect((await bench.neutron('GET', '/networks')).body).toHaveProperty('NeutronError');
    await bench.control.clear();
    await bench.control.fault({ kind: 'quota' }, { times: 1 });
    expect((await bench.order('y')).text).toContain('Quota exceeded for instances');
  });

  it('loses the answer of a call that was carried out, or the call itself', async () => {
    await bench.control.fault({ kind: 'lost-answer', method: 'POST', path: '/v2.1/servers' }, { times: 1 });
    await expect(bench.order('lost')).rejects.toThrow();
    expect(await bench.names('/servers')).toEqual(['lost']);
    await bench.control.fault(
      { kind: 'connection-reset', method: 'POST', path: '/v2.1/servers' },
      { times: 1 },
    );
    await expect(bench.order('never')).rejects.toThrow();
    expect(await bench.names('/servers')).toEqual(['lost']);
  });

  it('leaves servers out of lists, shows old lists and empty ones', async () => {
    const id = await bench.server('a');
    await bench.server('b');
    const omitted = await bench.control.fault({ kind: 'listing', mode: 'omit' }, { server: 'a' });
    expect(await bench.names('/servers/detail')).toEqual(['b']);
    expect((await bench.show(id))['name']).toBe('a');
    await bench.control.clear(omitted);
    await bench.control.fault({ kind: 'listing', mode: 'stale' }, { times: 1 });
    await bench.server('c');
    expect((await bench.names('/servers')).sort()).toEqual(['a', 'b']);
    expect((await bench.names('/servers')).sort()).toEqual(['a', 'b', 'c']);
    await bench.control.fault({ kind: 'listing', mode: 'empty' }, { times: 1 });
    expect(await bench.names('/servers')).toEqual([]);
  });

  it('goes slow, and down for a time', async () => {
    const call = async (): Promise<number> => (await bench.nova('GET', '/servers')).status;
    await bench.control.fault({ kind: 'api-slow', ms: 5000 }, { times: 1 });
    const { due } = bench.clock;
    const slow = call();
    // It has come, and is not answered before its time.
    for (let n = 0; n < 2_000 && bench.clock.due === due; n += 1) await sleep(5);
    expect(bench.clock.due).toBeGreaterThan(due);
    await bench.clock.advance(5000);
    expect(await slow).toBe(200);
    await bench.control.takeDown(1000);
    await expect(call()).rejects.toThrow();
    await bench.clock.advance(1000);
    expect(await call()).toBe(200);
    await bench.control.takeDown(1000, 'refuse');
    await sleep(50);
    await expect(bench.control.faults()).rejects.toThrow();
    await bench.clock.advance(1000);
    await sleep(50);
    expect(await call()).toBe(200);
  });

  it('keeps a journal of calls, and lets nobody in without the control token', async () => {
    await bench.control.clearCalls();
    await bench.server('x');
    const posts = await bench.control.calls({ method: 'POST', path: '/v2.1/servers' });
    expect(posts).toMatchObject([{ service: 'compute', method: 'POST', path: '/v2.1/servers', status: 202 }]);
    const refused = await fetch(`${bench.cloud.controlUrl}/servers`, {
      headers: { 'X-Control-Token': 'guess' },
    });
    expect(refused.status).toBe(401);
    await expect(bench.control.order('nobody', { do: 'host-key' })).rejects.toThrow(
      /there is no server nobody/,
    );
    await bench.control.revokeTokens();
    expect((await bench.nova('GET', '/servers')).status).toBe(401);
  });

  it('takes other boot times, for all or for some', async () => {
    await bench.control.setTiming({ buildMs: { min: 4000, max: 6000 } });
    await bench.control.fault({ kind: 'boot-time', buildMs: 100 }, { server: 'quick' });
    const [slow, quick] = await Promise.all([bench.server('slow'), bench.server('quick')]);
    await bench.clock.advance(4900);
    expect([(await bench.show(slow))['status'], (await bench.show(quick))['status']]).toEqual([
      'BUILD',
      'ACTIVE',
    ]);
    await bench.clock.advance(200);
    expect((await bench.show(slow))['status']).toBe('ACTIVE');
  });
});
