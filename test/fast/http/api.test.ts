import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { problem } from '../../../src/http/api.js';
import { capabilityToken } from '../../../src/http/authenticate.js';
import { FailedAuthLimit } from '../../../src/http/failed-auth-limit.js';
import { routes } from '../../../src/http/routes.js';
import { ask, httpConfig, start, tokens, type Running } from './harness.js';

let running: Running;
beforeAll(async () => {
  running = await start();
});
afterAll(async () => {
  await running.server.close(1000);
});

const leased = async (job: string, token = tokens.worker): Promise<{ id: string; capability: string }> => {
  const { json } = await running.send('POST', '/v1/leases', { token, body: ask(job) });
  return { id: String(json['id']), capability: String(json['capability']) };
};
const concrete = (path: string, id: string): string => path.replace(':id', id).replace(':name', 'm1');
const bodies: Readonly<Record<string, unknown>> = {
  '/v1/leases': ask('table'),
  '/v1/releases': { job: '1' },
  '/v1/sync': { jobs: [], ageMs: 0 },
  '/v1/pool/scale': { max: 3 },
  '/v1/pool/config': { config: { 'vmpool:max': 3 } },
};
const bodyFor = (path: string): unknown => bodies[path] ?? {};

describe('who may call what', () => {
  const expected: Record<string, readonly string[]> = {
    'POST /v1/leases': ['worker'],
    'GET /v1/leases/:id': ['worker', 'capability', 'operator', 'viewer'],
    'DELETE /v1/leases/:id': ['worker', 'capability', 'operator'],
    'POST /v1/releases': ['worker'],
    'POST /v1/sync': ['worker'],
    'GET /v1/node': ['worker'],
    'GET /v1/status': ['worker', 'operator', 'viewer'],
    'POST /v1/members/:name/hold': ['operator'],
    'POST /v1/members/:name/unhold': ['operator'],
    'POST /v1/members/:name/retire': ['operator'],
    'POST /v1/pool/adopt': ['operator'],
    'POST /v1/pool/scale': ['operator'],
    'POST /v1/pool/config': ['operator'],
    'GET /healthz': [],
    'GET /metrics': ['operator', 'viewer'],
    'GET /readyz': [],
    'GET /v1/openapi.json': [],
    'POST /v1/members/:name/drain': ['operator'],
    'POST /v1/members/:name/kill': ['operator'],
    'POST /v1/pool/pause': ['operator'],
    'POST /v1/pool/resume': ['operator'],
    'GET /v1/plan': ['operator', 'viewer'],
    'GET /v1/history': ['operator', 'viewer'],
    'GET /v1/members/:name': ['operator', 'viewer'],
    'GET /v1/members/:name/console': ['operator'],
    'GET /v1/events': ['operator', 'viewer'],
    'GET /v1/usage': ['operator', 'viewer'],
    'GET /v1/trend': ['operator', 'viewer'],
    'GET /v1/watch': ['operator', 'viewer'],
    'GET /': [],
    'GET /dashboard.js': [],
    'GET /dashboard.css': [],
    'GET /v1/docs': [],
  };

  it('is what this table says, and no route is missing in it', () => {
    expect(Object.fromEntries(routes.map((r) => [`${r.method} ${r.path}`, r.roles]))).toEqual(expected);
  });

  for (const route of routes) {
    for (const role of ['worker', 'capability', 'operator', 'viewer', 'nobody', 'wrong'] as const) {
      const open = route.roles.length === 0;
      const allowed = open || (role !== 'nobody' && role !== 'wrong' && route.roles.includes(role));
      it(`${route.method} ${route.path} as ${role}: ${allowed ? 'allowed' : 'refused'}`, async () => {
        const { id, capability } = await leased(`access-${role}`);
        const token = { ...tokens, capability, nobody: undefined, wrong: 'x'.repeat(30) }[role];
        const answer = await running.send(route.method, concrete(route.path, id), {
          token,
          ...(route.body === null ? {} : { body: bodyFor(route.path) }),
        });
        if (allowed) expect([200, 201, 202, 409, 503]).toContain(answer.status);
        else expect(answer.status).toBe(role === 'nobody' || role === 'wrong' ? 401 : 403);
      });
    }
  }

  it('shows a worker nothing of another: its lease looks like one that never was', async () => {
    const { id, capability } = await leased('mine');
    const other = await leased('theirs', tokens.worker2);
    for (const method of ['GET', 'DELETE']) {
      for (const token of [tokens.worker, capability]) {
        const foreign = await running.send(method, `/v1/leases/${other.id}`, { token });
        const unknown = await running.send(method, '/v1/leases/0123', { token });
        expect(foreign.status).toBe(404);
        expect({ ...foreign.json, instance: '' }).toEqual({ ...unknown.json, instance: '' });
      }
    }
    expect(running.pool.lease(other.id)?.state).toBe('waiting');
    const { text, json } = await running.send('GET', '/v1/status', { token: tokens.worker });
    expect(text).toContain('job-of-node1');
    expect(text).not.toMatch(/node2/);
    expect(text).not.toContain(other.id);
    expect(text).toContain(id);
    expect(json['members']).toHaveLength(2);
    expect((await running.send('GET', '/v1/status', { token: tokens.viewer })).text).toContain(
      'job-of-node2',
    );
  });

  it('takes the name of the worker from its token', async () => {
    const { json } = await running.send('POST', '/v1/leases', { token: tokens.worker2, body: ask('whose') });
    expect(json['worker']).toBe('node2');
  });
});

describe('capabilities', () => {
  it('read and end exactly their own lease', async () => {
    const { id, capability } = await leased('cap');
    expect((await running.send('GET', `/v1/leases/${id}`, { token: capability })).json).toMatchObject({ id });
    const ended = await running.send('DELETE', `/v1/leases/${id}`, { token: capability });
    expect(ended.json).toMatchObject({ outcome: 'ended' });
    const again = await running.send('DELETE', `/v1/leases/${id}`, { token: capability });
    expect(again.json).toMatchObject({ outcome: 'nothing-to-end' });
  });

  it('cannot be forged from another lease, cut, extended or changed', async () => {
    const { id, capability } = await leased('forge');
    const other = await leased('forge2');
    const mac = capability.slice(capability.lastIndexOf('_') + 1);
    const forged = [
      capabilityToken(other.id, mac),
      capabilityToken(id, 'A'.repeat(43)),
      capability.slice(0, -1),
      `${capability}A`,
      capability.replace('vmpc_', 'vmpd_'),
      `vmpc_${id}_`,
      ...Array.from({ length: 20 }, (_, k) => {
        const at = capability.length - 1 - k;
        return capability.slice(0, at) + (capability[at] === 'B' ? 'C' : 'B') + capability.slice(at + 1);
      }),
    ];
    for (const token of forged) {
      expect((await running.send('GET', `/v1/leases/${id}`, { token })).status).toBe(401);
    }
  });
});

describe('asking for a lease', () => {
  it('answers 202 in the line, 201 when granted, with Location and capability; repeating it changes nothing', async () => {
    const first = await running.send('POST', '/v1/leases', { token: tokens.worker, body: ask('ask') });
    expect(first).toMatchObject({ status: 202, json: { state: 'waiting' } });
    const id = String(first.json['id']);
    expect(first.headers['location']).toBe(`/v1/leases/${id}`);
    running.pool.grant(id);
    const second = await running.send('POST', '/v1/leases', { token: tokens.worker, body: ask('ask') });
    expect(second).toMatchObject({
      status: 201,
      json: { id, capability: first.json['capability'], ready: true },
    });
  });

  it('passes refusals on as problems with the code that hooks decide by', async () => {
    const stale = await running.send('POST', '/v1/leases', { token: tokens.worker, body: ask('stale') });
    expect(stale).toMatchObject({
      status: 409,
      json: { type: 'urn:vmpool:problem:stale-attempt', detail: 'a newer attempt exists' },
    });
    const big = await running.send('POST', '/v1/leases', { token: tokens.worker, body: ask('big') });
    expect(big).toMatchObject({ status: 422, json: { type: 'urn:vmpool:problem:unsatisfiable' } });
    const none = await running.send('POST', '/v1/members/m9/hold', { token: tokens.operator, body: {} });
    expect(none).toMatchObject({ status: 404, json: { detail: 'no member m9' } });
  });

  it('answers 503 when the store refuses, 500 without details when the service fails', async () => {
    running.pool.failure = Object.assign(new Error('disk'), { name: 'StoreError' });
    const full = await running.send('POST', '/v1/sync', {
      token: tokens.worker,
      body: { jobs: [], ageMs: 0 },
    });
    expect(full).toMatchObject({ status: 503, json: { type: 'urn:vmpool:problem:unavailable' } });
    expect(full.headers['retry-after']).toBe('5');
    running.pool.failure = new Error('/etc/secret-detail');
    const broken = await running.send('GET', '/v1/node', { token: tokens.worker });
    expect(broken.status).toBe(500);
    expect(broken.text).not.toContain('secret-detail');
  });
});

describe('problems', () => {
  const worker = { token: tokens.worker };
  it.each([
    ['an unknown address', 'GET', '/v1/nothing', worker, 404],
    ['a wrong method', 'PUT', '/v1/leases', worker, 405],
    ['JSON that is none', 'POST', '/v1/leases', { ...worker, raw: '{"job": tokenish' }, 400],
    ['JSON that is no object', 'POST', '/v1/leases', { ...worker, raw: '7' }, 400],
    [
      'another content type',
      'POST',
      '/v1/leases',
      { ...worker, raw: 'a', headers: { 'Content-Type': 'text/plain' } },
      415,
    ],
    [
      'a compressed body',
      'POST',
      '/v1/leases',
      { ...worker, raw: 'a', headers: { 'Content-Encoding': 'gzip' } },
      415,
    ],
    [
      'an unknown charset',
      'POST',
      '/v1/leases',
      { ...worker, raw: '{}', headers: { 'Content-Type': 'application/json; charset=x' } },
      415,
    ],
    ['a body that is too large', 'POST', '/v1/leases', { ...worker, raw: ' '.repeat(70_000) }, 413],
    ['a sync without a token that is too large', 'POST', '/v1/sync', { raw: ' '.repeat(70_000) }, 401],
    ['no body', 'POST', '/v1/leases', worker, 400],
    ['an unknown field', 'POST', '/v1/leases', { ...worker, body: { ...ask(), extra: 1 } }, 400],
    ['a wait that is no number', 'POST', '/v1/leases?wait=soon', { ...worker, body: ask() }, 400],
    ['a wait given twice', 'GET', '/v1/leases/x?wait=1&wait=2', worker, 400],
    ['an unknown query', 'GET', '/v1/node?x=1', worker, 400],
    ['a path that cannot be decoded', 'GET', '/v1/leases/%zz', worker, 400],
    ['an id with a path in it', 'GET', '/v1/leases/..%2f..%2fetc', worker, 404],
    ['no token', 'GET', '/v1/status', {}, 401],
    [
      'a token in another scheme',
      'GET',
      '/v1/status',
      { headers: { Authorization: `Basic ${tokens.worker}` } },
      401,
    ],
  ])('%s: %s %s', async (_name, method, path, more, status) => {
    const before = running.pool.calls.filter((call) => !call.startsWith('waitFor')).length;
    const answer = await running.send(method, path, more);
    expect(answer.status).toBe(status);
    expect(answer.headers['content-type']).toBe('application/problem+json');
    const document = problem.parse(answer.json);
    expect(document.status).toBe(status);
    expect(document.type).toMatch(/^urn:vmpool:problem:[a-z-]+$/);
    expect(document.instance).toBe(`urn:uuid:${String(answer.headers['x-request-id'])}`);
    expect(answer.text).not.toContain('tokenish');
    expect(running.pool.calls.filter((call) => !call.startsWith('waitFor'))).toHaveLength(before);
  });

  it('name each wrong field', async () => {
    const { json } = await running.send('POST', '/v1/leases', {
      ...worker,
      body: { ...ask('-x; rm'), publicKey: 'command="x" ssh-ed25519 AAAA' },
    });
    expect(json['errors']).toEqual([
      { path: 'body.job', message: expect.stringContaining('a Torque job id') },
      { path: 'body.publicKey', message: expect.stringContaining('an OpenSSH public key') },
    ]);
  });

  it('refuse a start count with which one request would make every real attempt stale', async () => {
    const { status, json } = await running.send('POST', '/v1/leases', {
      ...worker,
      body: ask('count', 1_000_001),
    });
    expect(status).toBe(400);
    expect(json['errors']).toEqual([
      { path: 'body.attempt.start', message: expect.stringContaining('1000000') },
    ]);
    expect(
      (await running.send('POST', '/v1/leases', { ...worker, body: ask('count', 1_000_000) })).status,
    ).toBe(202);
  });

  it('tell with 405 what is allowed', async () => {
    const { headers } = await running.send('PATCH', '/v1/leases/x', worker);
    expect(headers['allow']).toBe('GET, HEAD, DELETE');
  });

  it('come without what browsers could misuse, and never with a server banner', async () => {
    const { headers } = await running.send('GET', '/healthz');
    expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' });
    expect(headers['content-security-policy']).toContain("default-src 'self'");
    expect(headers['x-powered-by']).toBeUndefined();
  });
});

describe('whatever is sent', () => {
  const posts = routes.filter((route) => route.body !== null);

  it('never makes the service fail: random bytes as bodies', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.constantFrom(...posts), async (raw, route) => {
        const token = route.roles.includes('worker') ? tokens.worker : tokens.operator;
        const { status } = await running.send(route.method, concrete(route.path, 'x'), { token, raw });
        expect(status).toBeLessThan(500);
      }),
      { numRuns: 200 },
    );
  });

  it('never makes the service fail: random JSON, paths and queries', async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), fc.webPath(), fc.webQueryParameters(), async (body, path, query) => {
        const { status } = await running.send('POST', '/v1/sync', { token: tokens.worker, body });
        expect(status).toBeLessThan(500);
        const got = await running.send('GET', `/v1/leases${path}?${query}`, { token: tokens.worker });
        expect(got.status).toBeLessThan(500);
      }),
      { numRuns: 100 },
    );
  });

  it('leaves no token in the log', async () => {
    await running.send('GET', '/v1/node', { token: tokens.worker });
    const { capability } = await leased('logged');
    const log = running.logged.join('\n');
    expect(log).toContain('"who":"n1"');
    for (const secret of [...Object.values(tokens), capability]) expect(log).not.toContain(secret);
  });
});

describe('failed authentication', () => {
  it('is limited by address, while valid tokens pass', async () => {
    const limited = await start({ config: httpConfig({ failedAuthPerMinute: 3 }) });
    const wrong = (): Promise<{ status: number }> =>
      limited.send('GET', '/v1/node', {
        token: 'wrong'.repeat(9),
        headers: { 'X-Forwarded-For': `10.0.0.${String(Math.floor(performance.now() % 250))}` },
      });
    const statuses = [];
    for (let n = 0; n < 5; n += 1) statuses.push((await wrong()).status);
    expect(statuses).toEqual([401, 401, 401, 429, 429]);
    expect((await limited.send('GET', '/v1/node', { token: tokens.worker })).status).toBe(200);
    await limited.server.close(1000);
  });

  it('forgets after a minute, holds a bounded number of addresses and counts IPv6 by network', () => {
    let now = 0;
    const limit = new FailedAuthLimit(1, () => now);
    expect(limit.fail('10.0.0.1')).toBeNull();
    expect(limit.fail('::ffff:10.0.0.1')).toBe(60);
    now = 60_000;
    expect(limit.fail('10.0.0.1')).toBeNull();
    expect(limit.fail('2001:db8::1')).toBeNull();
    expect(limit.fail('2001:db8:0:0:5::9')).toBe(60);
    expect(limit.fail('2001:db8:0:1::1')).toBeNull();
    for (let n = 0; n < 20_000; n += 1) limit.fail(`a${String(n)}`);
    expect(limit.size).toBe(10_000);
  });
});

describe('the largest sync', () => {
  it('of 100,000 jobs is taken, although other bodies have a smaller limit; more is refused by name', async () => {
    const running = await start();
    try {
      const jobs = Array.from(
        { length: 100_001 },
        (_, n) => `${String(1_000_000 + n)}.torque-server.site.example`,
      );
      const send = (some: readonly string[]) =>
        running.send('POST', '/v1/sync', { token: tokens.worker, body: { jobs: some, ageMs: 0 } });
      expect((await send(jobs.slice(1))).status).toBe(200);
      expect(running.pool.calls.at(-1)).toBe('sync node1 100000');
      const refused = await send(jobs);
      expect(refused).toMatchObject({ status: 400, json: { errors: [{ path: 'body.jobs' }] } });
      expect(
        (await running.send('POST', '/v1/sync', { token: tokens.worker, raw: ' '.repeat(9_000_000) })).status,
      ).toBe(413);
    } finally {
      await running.server.close(1000);
    }
  });
});
