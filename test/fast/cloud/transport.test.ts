import { afterEach, describe, expect, it } from '@jest/globals';
import { createTransport } from '../../../src/cloud/transport.js';
import { play } from './play.js';

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

async function ask(reply: Parameters<typeof play>[0], timeoutMs = 5_000) {
  const played = await play(reply);
  const transport = createTransport({ verify: true, ca: null, client: null });
  opened.push(
    () => played.close(),
    () => transport.close(),
  );
  const request = {
    method: 'GET' as const,
    url: `${played.url}/x`,
    headers: {},
    body: null,
    timeoutMs,
    signal: new AbortController().signal,
  };
  return { send: () => transport.send(request), played };
}

describe('one HTTP exchange', () => {
  it('ends when no answer comes in time', async () => {
    const { send } = await ask(() => ({ 'GET /x': () => ({ silence: true }) }), 60);
    await expect(send()).rejects.toMatchObject({
      code: 'TOO_SLOW',
      message: expect.stringContaining('within 0.06 s'),
    });
  });

  it('does not follow a redirect, which would carry the token elsewhere', async () => {
    const { send, played } = await ask(() => ({
      'GET /x': () => ({ status: 302, headers: { location: '/y' } }),
    }));
    expect((await send()).status).toBe(302);
    expect(played.to('GET /y')).toHaveLength(0);
  });

  it('that is cut off is a failure, not half an answer', async () => {
    const { send } = await ask(() => ({ 'GET /x': () => ({ text: '{}', cutOff: true }) }));
    await expect(send()).rejects.toMatchObject({ name: 'TransportError' });
  });
});
