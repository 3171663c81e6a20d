import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request as requestTls } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { createClient, ProblemError, UnreachableError } from '../../../src/http/client.js';
import { leaseRequest } from '../../../src/http/api.js';
import type { HttpServerOptions } from '../../../src/http/server.js';
import { ask, eventually, freePort, httpConfig, start, tokens, type Running } from './harness.js';

const open: Running[] = [];
const started = async (options: Partial<HttpServerOptions> = {}): Promise<Running> => {
  const running = await start(options);
  open.push(running);
  return running;
};
afterEach(async () => {
  await Promise.all(open.splice(0).map(({ server }) => server.close(100)));
});
const worker = { token: tokens.worker };

describe('long polls', () => {
  it('end with the grant', async () => {
    const { send, pool } = await started();
    const asking = send('POST', '/v1/leases?wait=50&until=granted', { ...worker, body: ask() });
    await eventually(() => pool.waiting === 1);
    const [id = ''] = pool.leases.keys();
    const polling = send('GET', `/v1/leases/${id}?wait=50&until=ready`, worker);
    await eventually(() => pool.waiting === 2);
    pool.grant(id);
    expect(await asking).toMatchObject({ status: 201, json: { state: 'granted' } });
    expect(await polling).toMatchObject({ status: 200, json: { ready: true } });
  });

  it('end at their time, and never wait longer than the limit', async () => {
    const { send, pool } = await started({ config: httpConfig({ maxWait: 30 }) });
    const answer = await send('POST', '/v1/leases?wait=9999', { ...worker, body: ask() });
    expect(answer.status).toBe(202);
    expect(pool.calls).toContain('waitFor granted 30');
  });

  it('count as the interest of the job only when the job asks: its worker, or its capability', async () => {
    const { send, pool } = await started();
    const { json } = await send('POST', '/v1/leases', { ...worker, body: ask() });
    const path = `/v1/leases/${String(json['id'])}?wait=0.01`;
    for (const token of [tokens.worker, String(json['capability'])]) {
      await send('GET', path, { token });
      expect(pool.calls.at(-1)).toBe('waitFor granted 10');
    }
    for (const token of [tokens.operator, tokens.viewer]) {
      await send('GET', path, { token });
      expect(pool.calls.at(-1)).toBe('waitFor granted 10 as a bystander');
    }
    const { length } = pool.calls;
    await send('GET', path.replace('0.01', '0'), { token: tokens.viewer });
    expect(pool.calls).toHaveLength(length);
    await send('GET', path.replace('0.01', '0'), worker);
    expect(pool.calls.at(-1)).toBe('waitFor granted 0');
  });

  it('end when the client leaves; the request it made stands and is found again', async () => {
    const { send, pool } = await started();
    const leave = new AbortController();
    const asking = send('POST', '/v1/leases?wait=50', { ...worker, body: ask(), signal: leave.signal });
    await eventually(() => pool.waiting === 1);
    leave.abort();
    await expect(asking).rejects.toThrow();
    await eventually(() => pool.waiting === 0);
    expect(pool.leases.size).toBe(1);
    expect((await send('POST', '/v1/leases', { ...worker, body: ask() })).status).toBe(202);
    expect(pool.leases.size).toBe(1);
  });

  it('are answered on a graceful stop; readiness goes first and new connections are refused', async () => {
    const { send, pool, server, port } = await started();
    const asking = send('POST', '/v1/leases?wait=50', { ...worker, body: ask() });
    await eventually(() => pool.waiting === 1);
    const closing = server.close(5000);
    expect(await asking).toMatchObject({ status: 202, headers: { connection: 'close' } });
    await closing;
    await expect(send('GET', '/healthz')).rejects.toThrow('ECONNREFUSED');
    expect(port).toBeGreaterThan(0);
  });

  it('hold up a stop no longer than its time', async () => {
    const { send, pool, server } = await started();
    pool.waitFor = () => new Promise(() => undefined);
    const asking = send('POST', '/v1/leases?wait=50', { ...worker, body: ask() }).catch(
      (error: unknown) => error,
    );
    await eventually(() => pool.leases.size === 1);
    await server.close(50);
    expect(await asking).toMatchObject({ code: 'ECONNRESET' });
  });
});

describe('readiness', () => {
  it('tells why not', async () => {
    let why: string | null = 'the store is not open';
    const { send } = await started({ notReady: () => why });
    expect(await send('GET', '/readyz')).toMatchObject({ status: 503, json: { detail: why } });
    why = null;
    expect(await send('GET', '/readyz')).toMatchObject({ status: 200, json: { ready: true } });
  });
});

describe('clients that behave badly', () => {
  const timeouts = { headersMs: 150, requestMs: 300, keepAliveMs: 500, checkEveryMs: 30, silenceMs: 500 };
  const talk = async (port: number, text: string): Promise<string> => {
    const socket = connectTcp(port, '127.0.0.1');
    let heard = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      heard += chunk;
    });
    socket.on('error', () => undefined);
    socket.write(text);
    await once(socket, 'close');
    return heard;
  };

  it('that never end their headers or their body are cut off', async () => {
    const { port, pool } = await started({ timeouts });
    expect(await talk(port, 'GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ')).toMatch(
      /^HTTP\/1.1 408 .*problem\+json/s,
    );
    const head = `POST /v1/leases HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokens.worker}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{`;
    expect(await talk(port, head)).toMatch(/408/);
    expect(pool.leases.size).toBe(0);
  });

  it('that speak no HTTP, or send endless headers, get a problem', async () => {
    const { port } = await started({ timeouts });
    expect(await talk(port, 'hello\r\n\r\n')).toMatch(/^HTTP\/1.1 400 .*"status":400/s);
    expect(await talk(port, `GET / HTTP/1.1\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`)).toMatch(/^HTTP\/1.1 431 /);
  });

  it('that send requests ahead of their answers are closed, and no more than a few are begun', async () => {
    const { port, pool } = await started();
    pool.waitFor = () => new Promise(() => undefined);
    const asking = (job: string): string => {
      const body = JSON.stringify(ask(job));
      return (
        `POST /v1/leases?wait=50 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokens.worker}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${String(body.length)}\r\n\r\n${body}`
      );
    };
    expect(await talk(port, Array.from({ length: 50 }, (_, n) => asking(`${String(n)}.s`)).join(''))).toBe(
      '',
    );
    expect(pool.leases.size).toBeLessThanOrEqual(4);
  });

  it('that send a few requests at once get all their answers, in order', async () => {
    const { port } = await started({ timeouts });
    const paths = ['/healthz', '/nowhere', '/v1/node'];
    const heard = await talk(port, paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''));
    expect([...heard.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)).toEqual([
      ...['200', '404', '401'],
    ]);
  });

  it('that never read a large answer are given up, and their place is free again', async () => {
    const config = httpConfig({ connections: 1, maxWait: 10 });
    const { send, port, pool } = await started({ config, timeouts });
    const { problems } = pool.status();
    // More than the buffers of both sides hold.
    const status = { ...pool.status(), problems: [...problems, 'x'.repeat(32 * 1024 * 1024)] };
    pool.status = () => status;
    const deaf = connectTcp(port, '127.0.0.1').pause();
    deaf.on('error', () => undefined);
    deaf.write(`GET /v1/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokens.viewer}\r\n\r\n`);
    await once(deaf, 'connect');
    await expect(send('GET', '/healthz')).rejects.toThrow();
    let given = 0;
    const end = performance.now() + 30_000;
    while (given !== 200 && performance.now() < end) {
      given = await send('GET', '/healthz').then(
        (answer) => answer.status,
        () => 0,
      );
    }
    expect(given).toBe(200);
    deaf.destroy();
  });

  it('do not end a long poll of others, whose time is not counted by these limits', async () => {
    const { send } = await started({ timeouts });
    expect((await send('POST', '/v1/leases?wait=0.6', { ...worker, body: ask() })).status).toBe(202);
  });
});

describe('TLS', () => {
  let dir: string;
  const certificate = (name: string): { cert: string; key: string } => {
    const [key, cert] = [join(dir, `${name}.key`), join(dir, `${name}.pem`)];
    const made = [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
    ];
    const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1'];
    execFileSync('openssl', [...made, ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' });
    return { cert, key };
  };
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'vmpool-tls-'));
  });
  afterAll(() => {
    rmSync(dir, { recursive: true });
  });

  it('serves the API, refuses TLS 1.1, and takes a new certificate without a restart', async () => {
    const [first, second] = [certificate('first'), certificate('second')];
    const config = { ...httpConfig(), listen: { host: '127.0.0.1', port: 0, tls: first } };
    const { url, port, server } = await started({ config });
    const statusBy = async ({ cert }: { cert: string }): Promise<string> => {
      const client = createClient({ url, token: tokens.viewer, ca: readFileSync(cert, 'utf8') });
      try {
        return (await client.status()).pool;
      } finally {
        client.close();
      }
    };
    expect(await statusBy(first)).toBe('batch');
    await expect(statusBy(second)).rejects.toThrow(UnreachableError);
    const old = connectTls({
      port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      minVersion: 'TLSv1.1',
      maxVersion: 'TLSv1.1',
    });
    const [error] = (await once(old, 'error').catch((e: unknown) => [e])) as [unknown];
    expect(String(error)).toMatch(/ssl|tls|alert|protocol/i);
    server.reload({ ...config, listen: { ...config.listen, tls: second } });
    expect(await statusBy(second)).toBe('batch');
    expect(() => {
      server.reload({ ...config, listen: { ...config.listen, tls: { cert: '/none', key: '/none' } } });
    }).toThrow('ENOENT');
    expect(await statusBy(second)).toBe('batch');
  });

  it('gives up who connects and never says what TLS is, or stops in the middle of it, and serves the others', async () => {
    const own = certificate('own');
    const config = { ...httpConfig(), listen: { host: '127.0.0.1', port: 0, tls: own } };
    const headersMs = 300;
    const usual = { requestMs: 30_000, keepAliveMs: 75_000, checkEveryMs: 2_000, silenceMs: 60_000 };
    const { url, port } = await started({ config, timeouts: { headersMs, ...usual } });
    // The beginning of a handshake: its record says that more is to come.
    const beginnings = ['', '\x16', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'];
    const began = performance.now();
    const silent = beginnings.map((beginning) => {
      const socket = connectTcp(port, '127.0.0.1');
      socket.on('error', () => undefined).resume();
      socket.write(Buffer.from(beginning, 'latin1'));
      return once(socket, 'close');
    });
    const client = createClient({ url, token: tokens.viewer, ca: readFileSync(own.cert, 'utf8') });
    try {
      expect((await client.status()).pool).toBe('batch');
      await Promise.all(silent);
      expect(performance.now() - began).toBeGreaterThanOrEqual(headersMs - 50);
      expect((await client.status()).pool).toBe('batch');
    } finally {
      client.close();
    }
  }, 20_000);

  it('ends in time although a client has not ended its handshake', async () => {
    const config = { ...httpConfig(), listen: { host: '127.0.0.1', port: 0, tls: certificate('slow') } };
    const { port, server } = await started({ config });
    const socket = connectTcp(port, '127.0.0.1');
    socket.on('error', () => undefined).resume();
    const closed = once(socket, 'close');
    await once(socket, 'connect');
    const began = performance.now();
    await server.close(200);
    expect(performance.now() - began).toBeLessThan(5_000);
    await closed;
  }, 20_000);

  it('with a CA for clients, talks only to those whose certificate is of it', async () => {
    const [server, mine, foreign] = [certificate('server'), certificate('mine'), certificate('foreign')];
    const tls = { ...server, clientCa: mine.cert };
    const { port } = await started({
      config: { ...httpConfig(), listen: { host: '127.0.0.1', port: 0, tls } },
    });
    const health = (client: { cert: string; key: string } | null): Promise<number> =>
      new Promise((resolve, reject) => {
        const outgoing = requestTls(
          {
            ...{ port, host: '127.0.0.1', path: '/healthz', agent: false, ca: readFileSync(server.cert) },
            ...(client === null ? {} : { cert: readFileSync(client.cert), key: readFileSync(client.key) }),
          },
          (message) => {
            message.resume().on('end', () => resolve(message.statusCode ?? 0));
          },
        );
        outgoing.on('error', reject).end();
      });
    expect(await health(mine)).toBe(200);
    await expect(health(null)).rejects.toThrow(/certificate required|ECONNRESET|socket hang up/);
    await expect(health(foreign)).rejects.toThrow(/unknown ca|ECONNRESET|socket hang up/i);
  });
});

describe('the limit on connections', () => {
  it('closes those beyond it at once and serves the others', async () => {
    const { send, port } = await started({ config: httpConfig({ connections: 2 }) });
    const held = [connectTcp(port, '127.0.0.1'), connectTcp(port, '127.0.0.1')];
    await Promise.all(held.map((socket) => once(socket, 'connect')));
    await expect(send('GET', '/healthz')).rejects.toThrow();
    const [first] = held;
    first?.destroy();
    await eventually(() => first?.closed === true);
    let status = 0;
    for (let turn = 0; turn < 200 && status === 0; turn += 1) {
      status = await send('GET', '/healthz').then(
        (answer) => answer.status,
        () => 0,
      );
    }
    expect(status).toBe(200);
    for (const socket of held) socket.destroy();
  });
});

describe('reload', () => {
  it('takes over tokens at once', async () => {
    const { send, server } = await started();
    const config = httpConfig();
    server.reload({ ...config, auth: { tokens: config.auth.tokens.slice(1) } });
    expect((await send('GET', '/v1/node', worker)).status).toBe(401);
    expect((await send('GET', '/v1/node', { token: tokens.worker2 })).status).toBe(200);
  });
});

describe('the client', () => {
  it('speaks every route', async () => {
    const { url, pool } = await started();
    const job = createClient({ url, token: tokens.worker });
    const admin = createClient({ url, token: tokens.operator });
    try {
      const lease = await job.request(leaseRequest.parse(ask('c')));
      const waiting = job.lease(lease.id, { waitSeconds: 20, until: 'ready' });
      await eventually(() => pool.waiting === 1);
      pool.grant(lease.id);
      expect(await waiting).toMatchObject({ ready: true });
      const inside = createClient({ url, token: lease.capability });
      expect(await inside.releaseLease(lease.id)).toMatchObject({ outcome: 'ended' });
      inside.close();
      expect(await job.release({ job: 'c' })).toMatchObject({ outcome: 'nothing-to-end' });
      expect(await job.sync({ jobs: ['c'], ageMs: 0 })).toEqual({ ended: [] });
      expect(await job.node()).toMatchObject({ ok: true });
      expect(await admin.status()).toMatchObject({ pool: 'batch' });
      expect(await admin.hold('m1', { reason: 'look' })).toEqual({ detail: 'held' });
      expect(await admin.retire('m1', 'old')).toEqual({ detail: 'retired' });
      await expect(admin.unhold('m1')).rejects.toMatchObject({ code: 'conflict' });
      await expect(admin.adopt()).rejects.toBeInstanceOf(ProblemError);
      expect(pool.calls).toContain('hold m1 look');
    } finally {
      job.close();
      admin.close();
    }
  });

  it('tells what went wrong: a problem, nobody there, no answer in time, stopped by its caller', async () => {
    const { url, pool } = await started();
    const nobody = createClient({ url: `http://127.0.0.1:${String(await freePort())}`, token: 'x' });
    await expect(nobody.status()).rejects.toThrow(/cannot be reached: .*ECONNREFUSED/);
    nobody.close();
    const patient = createClient({ url, token: tokens.worker });
    await expect(patient.request(leaseRequest.parse(ask('stale')))).rejects.toMatchObject({
      code: 'stale-attempt',
    });
    patient.close();
    const client = createClient({ url, token: tokens.worker, timeoutMs: 50 });
    pool.release = () => new Promise(() => undefined);
    await expect(client.release({ job: 'x' })).rejects.toThrow('no answer within 0.05 s');
    await expect(client.release({ job: 'x' }, AbortSignal.abort())).rejects.toMatchObject({
      name: 'AbortError',
    });
    client.close();
  });
});
