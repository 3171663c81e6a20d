import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Agent } from 'node:http';
import { routes } from '../../../src/http/routes.js';
import type { Route } from '../../../src/http/route.js';
import type { Book } from '../../../src/pool/book.js';
import { ask, send as sendTo, tokens, type Answer } from '../http/harness.js';
import { servePool, type ServedPool } from '../http/served-pool.js';
import { nastyTexts } from './texts.js';

let running: ServedPool;
const agent = new Agent({ keepAlive: true, maxSockets: 8 });
beforeAll(async () => {
  running = await servePool(2);
});
afterAll(async () => {
  agent.destroy();
  await running.server.close(1000);
});
const book = (): Book => running.keeper.durable().book;

const send = (method: string, path: string, token: string, raw?: string): Promise<Answer> =>
  sendTo(running.port, method, path, {
    ...{ token, agent, signal: AbortSignal.timeout(30_000) },
    ...(raw === undefined ? {} : { raw }),
    // The parser refuses what is no HTTP (431) before there is a route.
    unrouted: [431],
  });

/** What every object of JavaScript has by itself: a look-up by name must not find it. */
const inherited = [
  ...Object.getOwnPropertyNames(Object.prototype),
  ...Object.getOwnPropertyNames(Function.prototype),
  ...['prototype', 'then', 'toJSON', 'length', 'size', 'get', 'undefined'],
];
const ids = [...new Set([...inherited, ...nastyTexts])]
  .map((text) => Buffer.from(text).toString())
  .filter((text) => text.length < 10_000);
const bodies: Readonly<Record<string, unknown>> = { hold: { reason: 'x' }, retire: { reason: 'x' } };
const bodyFor = (route: Route): string | undefined =>
  route.body === null ? undefined : JSON.stringify(bodies[route.path.split('/').at(-1) ?? ''] ?? {});

describe('ids that nobody gave', () => {
  const withIds = routes.filter(({ params }) => Object.keys(params).length > 0);

  it('are there routes that take ids', () => expect(withIds.length).toBeGreaterThan(4));

  it.each(
    withIds.flatMap((route) => route.roles.map((role) => [route.method, route.path, role, route] as const)),
  )('%s %s as %s: none is found, nothing is done', async (method, path, role, route) => {
    const own = await send('POST', '/v1/leases', tokens.worker, JSON.stringify(ask('own.server')));
    const { capability } = JSON.parse(own.text) as { capability: string };
    const token = { ...tokens, capability }[role];
    const before = book();
    const answers = await Promise.all(
      ids.map(async (id) => {
        const at = path.replace(/:[A-Za-z]+/g, encodeURIComponent(id));
        return { id, status: (await send(method, at, token, bodyFor(route))).status };
      }),
    );
    expect(answers.filter(({ status }) => status < 400 || status >= 500)).toEqual([]);
    expect(answers.some(({ id, status }) => id === 'constructor' && status === 404)).toBe(true);
    expect(book()).toBe(before);
  });

  it('are names of jobs like all others', async () => {
    for (const job of ['constructor', 'toString', 'hasOwnProperty']) {
      const asked = await send('POST', '/v1/leases', tokens.worker, JSON.stringify(ask(job)));
      expect([201, 202]).toContain(asked.status);
      const { id } = JSON.parse(asked.text) as { id: string };
      expect((await send('GET', `/v1/leases/${id}`, tokens.worker)).status).toBe(200);
      const sync = await send('POST', '/v1/sync', tokens.worker, JSON.stringify({ jobs: [job], ageMs: 0 }));
      expect(JSON.parse(sync.text)).toEqual({ ended: [] });
      const ended = await send('POST', '/v1/releases', tokens.worker, JSON.stringify({ job }));
      expect(JSON.parse(ended.text)).toMatchObject({ outcome: 'ended' });
    }
  });

  it('that begin like no job are refused', async () => {
    const asked = await send('POST', '/v1/leases', tokens.worker, JSON.stringify(ask('__proto__')));
    expect(asked.status).toBe(400);
  });

  it('change no object as keys of a body or of a query', async () => {
    const spoilt = ['{"__proto__":{"spoilt":1}}', '{"constructor":{"prototype":{"spoilt":1}}}'];
    for (const path of ['/v1/leases', '/v1/releases', '/v1/sync'])
      for (const raw of spoilt) expect((await send('POST', path, tokens.worker, raw)).status).toBe(400);
    for (const query of [
      '__proto__[spoilt]=1',
      'constructor[prototype][spoilt]=1',
      '__proto__=1',
      'toString=1',
    ])
      expect((await send('GET', `/v1/status?${query}`, tokens.viewer)).status).toBe(400);
    expect('spoilt' in {}).toBe(false);
  });
});
