import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { accessTable, accessTo, callers } from '../../../src/http/access.js';
import { createApp } from '../../../src/http/app.js';
import { capabilityToken } from '../../../src/http/authenticate.js';
import { FailedAuthLimit } from '../../../src/http/failed-auth-limit.js';
import { routes } from '../../../src/http/routes.js';
import type { Route } from '../../../src/http/route.js';
import type { Book } from '../../../src/pool/book.js';
import { fakeLog } from '../service/fake-ports.js';
import { ask, send as sendTo, tokens, type Answer } from './harness.js';
import { servePool, type ServedPool } from './served-pool.js';

let running: ServedPool;
beforeAll(async () => {
  running = await servePool(3);
});
afterAll(() => running.server.close(1000));
const book = (): Book => running.keeper.durable().book;

const send = (method: string, path: string, token: string | undefined, body?: unknown): Promise<Answer> =>
  sendTo(running.port, method, path, {
    signal: AbortSignal.timeout(30_000),
    ...(token === undefined ? {} : { token }),
    ...(body === undefined ? {} : { body }),
  });

/** Fails where the answer is no JSON. */
const jsonOf = ({ text }: Answer) => JSON.parse(text) as Record<string, unknown>;

let jobs = 0;
/** A lease of that worker's on the real core, with the capability that came with it. */
async function leased(token: string): Promise<{ id: string; job: string; capability: string }> {
  const job = `${++jobs}.server`;
  const answer = await send('POST', '/v1/leases', token, ask(job));
  expect([201, 202]).toContain(answer.status);
  const { id, capability } = jsonOf(answer);
  return { id: String(id), job, capability: String(capability) };
}

const nameOf = (route: Route): string => `${route.method} ${route.path}`;
/** A body that a caller who may call would send; a new route with a body has to be added here. */
const bodyFor = (route: Route): unknown => {
  if (route.body === null) return undefined;
  const bodies: Record<string, unknown> = {
    'POST /v1/leases': ask(`${++jobs}.server`),
    'POST /v1/releases': { job: 'no-such-job' },
    'POST /v1/sync': { jobs: [], ageMs: 0 },
    'POST /v1/members/:name/hold': { reason: 'a look' },
    'POST /v1/members/:name/unhold': {},
    'POST /v1/members/:name/retire': { reason: 'old' },
    'POST /v1/members/:name/drain': { reason: 'maintenance' },
    'POST /v1/members/:name/kill': { reason: 'now' },
    'POST /v1/pool/pause': { reason: 'an audit', forSeconds: 60 },
    'POST /v1/pool/resume': {},
    'POST /v1/pool/adopt': {},
    'POST /v1/pool/scale': { max: 3 },
    'POST /v1/pool/config': { config: { 'vmpool:max': 3 } },
  };
  const name = nameOf(route);
  if (!(name in bodies)) throw new Error(`say in this test what a right body of ${name} is`);
  return bodies[name];
};

describe('who may call what', () => {
  const member = (): string => book().members.keys()[0] ?? '';
  const pathOf = (route: Route, lease: string): string =>
    route.path.replace(':id', lease).replace(':name', member());
  /** With a path parameter or a body that Zod refuses, a call that is let in ends with one of these instead. */
  const letIn = (status: number): boolean => status < 500 && status !== 401 && status !== 403;

  for (const route of routes) {
    for (const caller of callers) {
      const access = accessTo(route, caller);
      it(`${nameOf(route)} as ${caller}: ${access}`, async () => {
        const mine = await leased(tokens.worker);
        const given = { ...tokens, capability: mine.capability, nobody: undefined };
        const before = book();
        const answer = await send(route.method, pathOf(route, mine.id), given[caller], bodyFor(route));
        if (access !== 'no') expect([answer.status, letIn(answer.status)]).toEqual([answer.status, true]);
        else {
          expect(answer.status).toBe(caller === 'nobody' ? 401 : 403);
          // Refused before anything was done.
          expect(book()).toBe(before);
        }
      });
    }

    for (const caller of ['worker', 'capability'] as const) {
      if (accessTo(route, caller) !== 'own' || !route.path.includes(':id')) continue;
      it(`${nameOf(route)} as ${caller}: another's lease is like none`, async () => {
        const mine = await leased(tokens.worker);
        const theirs = await leased(tokens.worker2);
        const token = caller === 'worker' ? tokens.worker : mine.capability;
        const before = book();
        const foreign = await send(route.method, pathOf(route, theirs.id), token, bodyFor(route));
        const none = await send(route.method, pathOf(route, '0'.repeat(32)), token, bodyFor(route));
        expect(foreign.status).toBe(404);
        const plain = (answer: Answer) => ({ ...jsonOf(answer), instance: '' });
        expect(plain(foreign)).toEqual(plain(none));
        expect(book()).toBe(before);
      });
    }

    if (route.roles.length > 0) {
      it(`${nameOf(route)}: neither a wrong token, nor a capability of no lease, nor another scheme`, async () => {
        const mine = await leased(tokens.worker);
        const before = book();
        for (const token of ['x'.repeat(40), capabilityToken(mine.id, 'A'.repeat(43))])
          expect((await send(route.method, pathOf(route, mine.id), token, bodyFor(route))).status).toBe(401);
        expect(book()).toBe(before);
      });
    }
  }

  it('a worker sees nothing of what another has, and its releases and syncs end nothing of it', async () => {
    const theirs = await leased(tokens.worker2);
    const seen = await send('GET', '/v1/status', tokens.worker);
    expect(seen.status).toBe(200);
    expect(seen.text).not.toContain(theirs.id);
    expect(seen.text).not.toContain(theirs.job);
    expect((await send('GET', '/v1/status', tokens.viewer)).text).toContain(theirs.job);
    // Twice, as the end of a lease by a sync would need.
    for (let turn = 0; turn < 3; turn += 1) {
      await send('POST', '/v1/sync', tokens.worker, { jobs: [], ageMs: 0 });
      const { attempt } = ask() as { attempt: object };
      for (const body of [{ job: theirs.job }, { job: theirs.job, attempt }])
        expect(jsonOf(await send('POST', '/v1/releases', tokens.worker, body))).toMatchObject({
          outcome: 'nothing-to-end',
        });
    }
    expect(running.service.lease(theirs.id)?.state).not.toBe('ended');
  });

  it('a capability dies with its lease: nothing can be done with it afterwards', async () => {
    const mine = await leased(tokens.worker);
    await send('DELETE', `/v1/leases/${mine.id}`, tokens.worker);
    const before = book();
    const ended = await send('DELETE', `/v1/leases/${mine.id}`, mine.capability);
    expect([404, 200]).toContain(ended.status);
    if (ended.status === 200) expect(jsonOf(ended)).toMatchObject({ outcome: 'nothing-to-end' });
    expect(book().leases).toBe(before.leases);
  });
});

describe('the table of who may call what', () => {
  it('knows every address that the server answers', () => {
    const app = createApp({
      ...{ routes, service: running.service, log: fakeLog(), bodyBytes: 1, tokens: () => [] },
      failedAuth: new FailedAuthLimit(1, () => 0),
      ...{ newRequestId: () => 'x', maxWaitMs: () => 0, notReady: () => null },
      metrics: () => Promise.resolve(''),
      onProblem: () => undefined,
      stopping: new AbortController().signal,
    });
    const layers = app.router.stack.flatMap((layer) => (layer.route === undefined ? [] : [layer.route]));
    const served = new Set(layers.map(({ path }) => path));
    expect(layers.length).toBeGreaterThan(routes.length);
    expect([...served].sort()).toEqual([...new Set(routes.map(({ path }) => path))].sort());
  });

  it('lets nobody change anything without a token', () => {
    const open = routes.filter(({ roles }) => roles.length === 0);
    expect(open.filter(({ method }) => method !== 'GET')).toEqual([]);
    const changing = routes.filter(({ method }) => method !== 'GET');
    expect(changing.filter((route) => accessTo(route, 'viewer') !== 'no')).toEqual([]);
  });

  it('stands in the threat model as it is (UPDATE_REFERENCE=1 writes it)', () => {
    const path = join(process.cwd(), 'docs/security.md');
    const text = readFileSync(path, 'utf8');
    const between =
      /(<!-- Generated from src\/http\/routes\.ts; a test compares\. -->\n\n)[^]*?(\n\n<!-- End of what is generated\. -->)/;
    expect(text).toMatch(between);
    const wanted = text.replace(between, (_all, begin: string, end: string) => {
      return `${begin}${accessTable(routes)}${end}`;
    });
    if (process.env['UPDATE_REFERENCE'] === '1') writeFileSync(path, wanted);
    expect(readFileSync(path, 'utf8')).toBe(wanted);
  });
});
