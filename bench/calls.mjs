/** Calls of a service, and how long they take. */
import { Agent, request as httpRequest } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const callLimitMs = 120_000;

/** POSTs JSON over kept-alive connections, at most `sockets` at once. */
export function caller(url, sockets, headers = {}) {
  const agent = new Agent({ keepAlive: true, maxSockets: sockets });
  const call = (path, body) =>
    new Promise((resolve, reject) => {
      const text = JSON.stringify(body);
      const outgoing = httpRequest(
        new URL(path, url),
        {
          method: 'POST',
          agent,
          signal: AbortSignal.timeout(callLimitMs),
          headers: {
            ...headers,
            'Content-Type': 'application/json',
            'Content-Length': Buffer.byteLength(text),
          },
        },
        (answer) => {
          let data = '';
          answer.setEncoding('utf8').on('data', (chunk) => (data += chunk));
          answer.on('error', reject);
          answer.on('end', () => {
            if (answer.statusCode >= 400) reject(new Error(`${path}: ${answer.statusCode} ${data}`));
            else resolve(JSON.parse(data));
          });
        },
      );
      outgoing.on('error', reject);
      outgoing.end(text);
    });
  return { call, close: () => agent.destroy() };
}

/** Milliseconds that `work()` takes. */
export async function timeOf(work) {
  const since = performance.now();
  await work();
  return performance.now() - since;
}

/** Runs `work(n)` for n = 0..count-1, `width` at a time. Resolves with each call's milliseconds. */
export async function timed(count, width, work) {
  const times = [];
  let n = 0;
  const lane = async () => {
    while (n < count) {
      const mine = n++;
      times.push(await timeOf(() => work(mine)));
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
  return times;
}

/**
 * Asks until `found()` says something other than undefined, null or false, and resolves with that.
 * @throws Error after `limitMs`
 */
export async function until(what, limitMs, found, everyMs = 50) {
  const end = Date.now() + limitMs;
  for (;;) {
    const value = await found();
    if (value !== undefined && value !== null && value !== false) return value;
    if (Date.now() > end) throw new Error(`${what}: not within ${limitMs / 1000} s`);
    await sleep(everyMs);
  }
}
