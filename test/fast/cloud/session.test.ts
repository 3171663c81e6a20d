import { afterEach, describe, expect, it } from '@jest/globals';
import type { OpenStackCloud } from '../../../src/cloud/openstack.js';
import { CloudError } from '../../../src/cloud/port.js';
import { basics, id, openCloud, passwordEnv, play, server, tellingClock, tokenReply } from './play.js';
import type { PlayedCloud, Route } from './play.js';

const still = new AbortController().signal;
const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

async function start(routes: (url: string) => Record<string, Route>): Promise<PlayedCloud> {
  const played = await play((url) => ({ ...basics(url), ...routes(url) }));
  opened.push(() => played.close());
  return played;
}

function open(...args: Parameters<typeof openCloud>): OpenStackCloud {
  const cloud = openCloud(...args);
  opened.push(() => cloud.close());
  return cloud;
}

async function failure(promise: Promise<unknown>): Promise<CloudError> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof CloudError)) throw new Error(`expected a CloudError, got ${String(error)}`);
  return error;
}

const one: Route = () => ({ json: { server: server('s1') } });

describe('signing in', () => {
  it('is done once for many who ask together, and Nova gets its microversion', async () => {
    const played = await start(() => ({ 'GET /compute/v2.1/servers/s1': one }));
    const cloud = open(played.url);
    await Promise.all(Array.from({ length: 5 }, () => cloud.server(id('s1'), still)));
    expect(played.to('POST /v3/auth/tokens')).toHaveLength(1);
    expect(played.to('GET /compute/v2.1/')).toHaveLength(1);
    const headers = played.to('GET /compute/v2.1/servers/s1')[0]?.headers;
    expect(headers).toMatchObject({ 'x-auth-token': 'token-1', 'openstack-api-version': 'compute 2.26' });
  });

  it('is done again before the token ends', async () => {
    const clock = tellingClock();
    const played = await start((url) => ({
      'POST /v3/auth/tokens': (_, nth) => tokenReply(url, { token: `token-${nth}`, lifeMs: 600_000 }),
      'GET /compute/v2.1/servers/s1': one,
    }));
    const cloud = open(played.url, { clock });
    await cloud.server(id('s1'), still);
    clock.advance(400_000);
    await cloud.server(id('s1'), still);
    expect(played.to('POST /v3/auth/tokens')).toHaveLength(1);
    clock.advance(100_000);
    await cloud.server(id('s1'), still);
    expect(played.to('GET /compute/v2.1/servers/s1').map((asked) => asked.headers['x-auth-token'])).toEqual([
      'token-1',
      'token-1',
      'token-2',
    ]);
  });

  it('is done again once when a token is refused, for all who met the refusal', async () => {
    const played = await start((url) => ({
      'POST /v3/auth/tokens': (_, nth) => tokenReply(url, { token: `token-${nth}` }),
      'GET /compute/v2.1/servers/s1': (asked) =>
        asked.headers['x-auth-token'] === 'token-1' ? { status: 401 } : { json: { server: server('s1') } },
    }));
    const cloud = open(played.url);
    await Promise.all([cloud.server(id('s1'), still), cloud.server(id('s1'), still)]);
    expect(played.to('POST /v3/auth/tokens')).toHaveLength(2);
  });

  it('does not go on for ever when every token is refused', async () => {
    const played = await start(() => ({ 'GET /compute/v2.1/servers/s1': () => ({ status: 401 }) }));
    expect((await failure(open(played.url).server(id('s1'), still))).kind).toBe('unauthorised');
    expect(played.to('POST /v3/auth/tokens')).toHaveLength(2);
  });

  it('that fails says with which credentials, and shows no secret even if Keystone repeats it', async () => {
    const played = await start(() => ({
      'POST /v3/auth/tokens': (asked) => ({
        status: 401,
        json: { error: { code: 401, message: `no such user: ${asked.body}` } },
      }),
    }));
    const error = await failure(open(played.url).quota(still));
    expect(error.kind).toBe('unauthorised');
    expect(error.message).toContain('OS_* variables');
    expect(error.message).not.toContain('pa55-w0rd');
  });

  it('finds Keystone’s v3 below an address without version', async () => {
    const played = await start((url) => ({
      'GET /identity/': () => ({
        status: 300,
        json: {
          versions: {
            values: [
              { id: 'v3.14', status: 'stable', links: [{ rel: 'self', href: `${url}/identity/v3/` }] },
              { id: 'v2.0', status: 'deprecated', links: [{ rel: 'self', href: `${url}/identity/v2.0/` }] },
            ],
          },
        },
      }),
      'POST /identity/v3/auth/tokens': () => tokenReply(url),
    }));
    const cloud = open(played.url, {
      env: { ...passwordEnv(played.url), OS_AUTH_URL: `${played.url}/identity` },
    });
    const identity = await cloud.identity(still);
    expect(identity).toMatchObject({ project: { id: 'p1' }, user: 'alice', microversion: '2.26' });
    expect(identity.endpoints).toEqual({
      compute: `${played.url}/compute/v2.1`,
      network: `${played.url}/networking/v2.0`,
      image: `${played.url}/image/v2`,
    });
  });

  it('takes the endpoint of the interface and region asked for, and names what there is instead', async () => {
    const played = await start(() => ({}));
    const env = passwordEnv(played.url);
    const inside = open(played.url, { env: { ...env, OS_ENDPOINT_TYPE: 'internal' } });
    expect(await inside.server(id('s1'), still)).toBeNull();
    expect(played.asked.map((asked) => asked.path)).toContain('/inside/compute/v2.1/servers/s1');
    const elsewhere = open(played.url, { env: { ...env, OS_REGION_NAME: 'Two' } });
    const error = await failure(elsewhere.quota(still));
    expect(error.message).toMatch(/region "Two" \(it has: internal in One, public in One\)/);
  });

  it('uses a given token as it is when told to', async () => {
    const played = await start((url) => ({
      'GET /v3/auth/tokens': () => ({ ...tokenReply(url), status: 200 }),
      'GET /compute/v2.1/servers/s1': one,
    }));
    const env = { OS_AUTH_URL: `${played.url}/v3`, OS_TOKEN: 'mine', OS_ALLOW_REAUTH: 'false' };
    await open(played.url, { env }).server(id('s1'), still);
    expect(played.to('GET /compute/v2.1/servers/s1')[0]?.headers['x-auth-token']).toBe('mine');
  });
});

describe('a cloud that is not well', () => {
  it('is asked again after the pause it names, in seconds or as a date', async () => {
    const clock = tellingClock();
    const date = new Date(clock.now() + 9_000).toUTCString();
    const played = await start(() => ({
      'GET /compute/v2.1/servers/s1': (_, nth) =>
        nth === 1
          ? { status: 429, headers: { 'retry-after': '3' } }
          : nth === 2
            ? { status: 503, headers: { 'retry-after': date } }
            : { json: { server: server('s1') } },
    }));
    const cloud = open(played.url, { clock });
    expect((await cloud.server(id('s1'), still))?.name).toBe('s1');
    expect(clock.slept).toEqual([3_000 + 125, 9_000 - 3_125 + 125]);
    expect(cloud.calls()).toContainEqual({ service: 'compute', method: 'GET', outcome: '429', count: 1 });
  });

  it('is not waited for when it asks for a long pause: the caller hears of it', async () => {
    const clock = tellingClock();
    const played = await start(() => ({
      'GET /compute/v2.1/servers/s1': () => ({ status: 413, headers: { 'retry-after': '120' } }),
    }));
    const error = await failure(open(played.url, { clock }).server(id('s1'), still));
    expect(error).toMatchObject({ kind: 'rate-limited', retryAfterMs: 120_000 });
    expect(clock.slept).toEqual([]);
  });

  it('holds up every other call to that service until the time has come, and no other service', async () => {
    const clock = tellingClock();
    const played = await start((url) => ({
      ...basics(url),
      'GET /compute/v2.1/servers/s1': (_, nth) =>
        nth === 1 ? { status: 429, headers: { 'retry-after': '120' } } : { json: { server: server('s1') } },
      'GET /image/v2/images': () => ({ json: { images: [] } }),
    }));
    const cloud = open(played.url, { clock });
    await failure(cloud.server(id('s1'), still));
    clock.advance(60_000);
    const error = await failure(cloud.deleteServer(id('s1'), still));
    expect(error).toMatchObject({ kind: 'rate-limited', retryAfterMs: 60_000 });
    expect(error.message).toContain('the compute service asked for a pause');
    expect(played.to('DELETE /compute/v2.1/servers/s1')).toEqual([]);
    expect((await cloud.image('absent', still)).found).toBe(false);
    clock.advance(50_000);
    expect((await cloud.server(id('s1'), still))?.name).toBe('s1');
    expect(clock.slept).toEqual([10_000]);
  });

  it('is tried four times, each pause longer, and then reported in plain words', async () => {
    const clock = tellingClock();
    const played = await start(() => ({
      'GET /compute/v2.1/servers/s1': () => ({ status: 503, text: '<html><h1>No backend</h1></html>' }),
    }));
    const error = await failure(open(played.url, { clock }).server(id('s1'), still));
    expect(error.kind).toBe('unavailable');
    expect(error.message).toMatch(
      /could not read the server s1: the cloud answered 503, saying "No backend"/,
    );
    expect(clock.slept).toEqual([187, 375, 750]);
    expect(played.to('GET /compute/v2.1/servers/s1')).toHaveLength(4);
  });

  it('may break the connection in the middle of an answer', async () => {
    const played = await start(() => ({
      'GET /compute/v2.1/servers/s1': (_, nth) =>
        nth < 3 ? { text: '{"server":', cutOff: true } : one({} as never, 1),
    }));
    expect((await open(played.url).server(id('s1'), still))?.id).toBe('s1');
  });

  it('may be gone', async () => {
    const played = await start(() => ({}));
    await played.close();
    const error = await failure(open(played.url).quota(still));
    expect(error.kind).toBe('unavailable');
    expect(error.message).toMatch(/could not sign in to the cloud: 127.0.0.1:\d+ refused the connection/);
  });

  it('may say something else than OpenStack would', async () => {
    const played = await start(() => ({
      'GET /compute/v2.1/servers/s1': () => ({ text: 'hello' }),
      'GET /compute/v2.1/servers/s2': () => ({ json: { server: { id: 's2' } } }),
    }));
    const cloud = open(played.url);
    expect(await failure(cloud.server(id('s1'), still))).toMatchObject({ kind: 'bad-answer' });
    expect((await failure(cloud.server(id('s2'), still))).message).toContain('server.name');
  });

  it('does not keep a caller who gives up', async () => {
    const played = await start(() => ({ 'GET /compute/v2.1/servers/s1': () => ({ silence: true }) }));
    const stop = new AbortController();
    const waiting = open(played.url).server(id('s1'), stop.signal);
    const reason = new Error('enough');
    setTimeout(() => stop.abort(reason), 50);
    await expect(waiting).rejects.toBe(reason);
  });

  it('does not keep anybody once closed', async () => {
    const played = await start(() => ({ 'POST /v3/auth/tokens': () => ({ silence: true }) }));
    const cloud = open(played.url);
    const waiting = failure(cloud.quota(still));
    setTimeout(() => cloud.close(), 50);
    expect((await waiting).message).toContain('closed');
  });

  it('without a version document is spoken to in the base version', async () => {
    const played = await start(() => ({
      'GET /compute/v2.1/': () => ({ status: 403 }),
      'GET /compute/v2.1/servers/s1': one,
    }));
    await open(played.url).server(id('s1'), still);
    expect(played.to('GET /compute/v2.1/servers/s1')[0]?.headers['openstack-api-version']).toBeUndefined();
  });
});
