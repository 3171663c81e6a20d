import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SseParser } from '../../../src/dashboard/sse.js';
import type { StatusMessage } from '../../../src/dashboard/status-patch.js';
import { watchStream } from '../../../src/http/watch-stream.js';
import { FakePool } from './fake-service.js';
import { ask, eventually, start, tokens, type Running } from './harness.js';

let running: Running;
beforeAll(async () => {
  running = await start();
});
afterAll(async () => {
  await running.server.close(1000);
});

const event = (id: number) => ({
  ...{ id, at: '2026-11-23T10:00:00Z', kind: 'vm', detail: `number ${String(id)}` },
  ...{ vm: 'm1', lease: null, job: null, user: null },
});

describe('watching the pool', () => {
  it('gives the whole status and the events so far, and ends when no time is asked for', async () => {
    running.pool.told.push(event(1));
    const answer = await running.send('GET', '/v1/watch', { token: tokens.viewer });
    expect(answer.headers['content-type']).toBe('text/event-stream; charset=utf-8');
    const heard = new SseParser().push(answer.text);
    expect(heard.map((one) => one.event)).toEqual(['status', 'event']);
    const message = JSON.parse(heard[0]?.data ?? '') as StatusMessage;
    expect(message).toMatchObject({ kind: 'whole', role: 'viewer', status: { pool: 'batch' } });
  });

  it('tells a change soon after it, as a patch', async () => {
    const pool = new FakePool();
    const stream = watchStream(pool, 'operator', 60_000, new AbortController().signal, {
      settle: 1,
      look: 60_000,
    });
    await stream.next();
    const next = stream.next();
    await pool.request('node1', ask('5.srv') as { job: string; attempt: object });
    pool.told.push(event(1));
    const { value } = await next;
    await stream.return(undefined);
    const [status, told] = new SseParser().push(value ?? '');
    expect(JSON.parse(status?.data ?? '')).toMatchObject({
      kind: 'patch',
      patch: { fields: { requests: [{ job: '5.srv' }] }, members: [], gone: [] },
    });
    expect(JSON.parse(told?.data ?? '')).toMatchObject({ detail: 'number 1' });
  });

  it('sends a sign of life when nothing happens, and ends with its time', async () => {
    const pieces: string[] = [];
    const times = { settle: 0, look: 5 };
    for await (const piece of watchStream(new FakePool(), 'viewer', 30, new AbortController().signal, times))
      pieces.push(piece);
    expect(pieces.length).toBeGreaterThan(1);
    expect(pieces.slice(1).every((piece) => piece.startsWith(':'))).toBe(true);
  });

  it('stops looking when the watcher is gone', async () => {
    const gone = new AbortController();
    const left = running.send('GET', '/v1/watch?for=600', { token: tokens.operator, signal: gone.signal });
    await eventually(() => running.pool.watching > 0);
    gone.abort();
    await expect(left).rejects.toThrow();
    await eventually(() => running.pool.watching === 0);
  });

  it('ends its streams when the service stops', async () => {
    const other = await start();
    const answer = other.send('GET', '/v1/watch?for=600', { token: tokens.operator });
    await eventually(() => other.pool.watching > 0);
    await other.server.close(5_000);
    expect((await answer).status).toBe(200);
  });

  it.each(['-1', '1e9', '100000', 'x'])('refuses for=%s', async (value) => {
    const { status } = await running.send('GET', `/v1/watch?for=${value}`, { token: tokens.viewer });
    expect(status).toBe(400);
  });
});

describe('events and trend', () => {
  it('come after a number, and as points', async () => {
    running.pool.told.splice(0, running.pool.told.length, event(1), event(2));
    const { json } = await running.send('GET', '/v1/events?after=1', { token: tokens.viewer });
    expect(json['events']).toMatchObject([{ id: 2 }]);
    const trend = await running.send('GET', '/v1/trend', { token: tokens.operator });
    expect(trend.json['points']).toHaveLength(1);
  });
});

describe("the dashboard's files", () => {
  it.each([
    ['/', 'text/html', '<title>VM Pool'],
    ['/dashboard.js', 'text/javascript', '/v1/watch'],
    ['/dashboard.css', 'text/css', '--ground'],
  ])('%s is served to everyone, and nothing in it comes from elsewhere', async (path, type, part) => {
    const { status, headers, text } = await running.send('GET', path);
    expect(status).toBe(200);
    expect(headers['content-type']).toContain(type);
    expect(headers['content-security-policy']).toContain("script-src 'self'");
    expect(text).toContain(part);
    expect(text.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:\/\//);
  });
});
