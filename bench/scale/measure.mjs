/** Children, calls and figures for the benchmarks of the service. */
import { spawn } from 'node:child_process';
import { Agent, request as httpRequest } from 'node:http';
import { createInterface } from 'node:readline';

/** Starts a child that tells of itself in one line of JSON; `stop` ends it and waits. */
export async function startChild(file, args) {
  const child = spawn(process.execPath, [file, ...args.map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  const nextLine = () =>
    new Promise((resolve, reject) => {
      const gone = (code) => reject(new Error(`${file} ended with ${code}`));
      child.once('exit', gone);
      lines.once('line', (line) => {
        child.off('exit', gone);
        resolve(JSON.parse(line));
      });
    });
  const told = await nextLine();
  return {
    ...told,
    pid: child.pid,
    usage: () => {
      const line = nextLine();
      child.kill('SIGUSR2');
      return line;
    },
    kill: (signal) => child.kill(signal),
    stop: () =>
      new Promise((resolve) => {
        child.once('exit', resolve);
        child.kill('SIGTERM');
      }),
  };
}

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
          headers: {
            ...headers,
            'Content-Type': 'application/json',
            'Content-Length': Buffer.byteLength(text),
          },
        },
        (answer) => {
          let data = '';
          answer.setEncoding('utf8').on('data', (chunk) => (data += chunk));
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

export const quantile = (values, q) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
};

/** Runs `work(n)` for n = 0..count-1, `width` at a time. Resolves with each call's milliseconds. */
export async function timed(count, width, work) {
  const times = [];
  let n = 0;
  const lane = async () => {
    while (n < count) {
      const mine = n++;
      const began = performance.now();
      await work(mine);
      times.push(performance.now() - began);
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
  return times;
}

const round = (value) => Number(value.toPrecision(4));
/** A row of `bench/results.json`: figures of four digits, their ratio to the floor. */
export const row = (name, unit, p50, p99, floor, wanted, met) => ({
  name,
  unit,
  p50: round(p50),
  p99: p99 === null ? null : round(p99),
  floor: floor === null ? null : round(floor),
  ratio: floor === null ? null : round(p50 / floor),
  wanted,
  met,
});
