import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { valueOf } from '../metrics/exposition.js';
import { ask, start, tokens, type Running } from './harness.js';

let running: Running;
beforeAll(async () => {
  running = await start({
    metrics: () => Promise.resolve('# HELP a_total a\n# TYPE a_total counter\na_total 7\n'),
  });
});
afterAll(async () => {
  await running.server.close(1000);
});

const counted = async (route: string, reason: string): Promise<number | null> => {
  const { text } = await running.send('GET', '/metrics', { token: tokens.viewer });
  expect(valueOf(text, 'a_total')).toBe(7);
  return valueOf(text, `vmpool_http_refusals_total{route="${route}",reason="${reason}"}`);
};

it.each([
  ['a stale attempt', 'POST /v1/leases', 'stale-attempt', { token: tokens.worker, body: ask('stale') }, 0],
  [
    'a job that is too big',
    'POST /v1/leases',
    'unsatisfiable',
    { token: tokens.worker, body: ask('big') },
    0,
  ],
  ['a body that is no request', 'POST /v1/leases', 'invalid-input', { token: tokens.worker, body: {} }, null],
  [
    'a token that is not known',
    'POST /v1/leases',
    'unauthorised',
    { token: 'x'.repeat(30), body: ask('1') },
    null,
  ],
  ['a role that may not', 'POST /v1/leases', 'forbidden', { token: tokens.viewer, body: ask('1') }, null],
] as const)('%s is counted by route and reason', async (_what, route, reason, sending, before) => {
  const [method = '', path = ''] = route.split(' ');
  expect(await counted(route, reason)).toBe(before);
  const { json } = await running.send(method, path, sending);
  expect(json['type']).toBe(`urn:vmpool:problem:${reason}`);
  expect(await counted(route, reason)).toBe(1);
});

it('what anybody may make up as an address or method makes no series', async () => {
  await running.send('GET', '/v1/leases/none', { token: tokens.viewer });
  for (const path of ['/a', '/b', '/v1/nothing'])
    await running.send('GET', path, { token: tokens.viewer, unrouted: [404] });
  await running.send('DELETE', '/v1/status', { token: tokens.viewer, unrouted: [405] });
  expect(await counted('', 'not-found')).toBe(3);
  expect(await counted('', 'method-not-allowed')).toBe(1);
  expect(await counted('GET /v1/leases/:id', 'not-found')).toBe(1);
});

it('a request that is granted is none', async () => {
  const { text } = await running.send('GET', '/metrics', { token: tokens.viewer });
  const before = text.match(/^vmpool_http_refusals_total.*$/gm);
  await running.send('POST', '/v1/leases', { token: tokens.worker, body: ask('fine') });
  const after = await running.send('GET', '/metrics', { token: tokens.viewer });
  expect(after.text.match(/^vmpool_http_refusals_total.*$/gm)).toEqual(before);
});
