import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask, tokens } from '../fast/http/harness.js';
import { startAttackedService, type AttackedService } from './service-process.js';

jest.setTimeout(5 * 60_000);

let service: AttackedService;
/** For crowds: it waits as long as it does by default, because a crowd alone takes its time. */
let patient: AttackedService;
/** Memory and descriptors of a service before any attack. */
interface Calm {
  readonly memoryMiB: number;
  readonly descriptors: number;
}
let calm: Calm;
/** An honest client: one connection that it keeps. */
const honest = new Agent({ keepAlive: true, maxSockets: 1 });
const open = new Set<Socket>();

interface Answer {
  readonly status: number;
  readonly text: string;
}
const send = (
  method: string,
  path: string,
  options: { token?: string; body?: unknown; agent?: Agent | false; to?: AttackedService } = {},
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const outgoing = request(
      {
        ...{
          host: '127.0.0.1',
          port: (options.to ?? service).port,
          method,
          path,
          agent: options.agent ?? false,
        },
        headers: {
          ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
          ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        signal: AbortSignal.timeout(60_000),
      },
      (message) => {
        let text = '';
        message.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        message.on('error', reject).on('end', () => resolve({ status: message.statusCode ?? 0, text }));
      },
    );
    outgoing.on('error', reject);
    outgoing.end(options.body === undefined ? undefined : JSON.stringify(options.body));
  });

/** An honest client tries once more where a busy machine has let its headers' time pass. */
const honestly = async (...what: Parameters<typeof send>): Promise<number> => {
  const first = await send(...what).then(
    ({ status }) => status,
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNRESET') throw error;
      return 408;
    },
  );
  return first === 408 ? (await send(...what)).status : first;
};

/** A connection of the attacker's. Whatever comes back is thrown away. */
const attack = (reads = true, whom = service): Socket => {
  const socket = connect(whom.port, '127.0.0.1');
  open.add(socket);
  socket.on('error', () => undefined).on('close', () => open.delete(socket));
  if (reads) socket.resume();
  return socket;
};

const eventually = async (what: string, holds: () => boolean | Promise<boolean>): Promise<void> => {
  for (let turn = 0; turn < 1_200; turn += 1) {
    if (await holds()) return;
    await sleep(50);
  }
  throw new Error(`did not come true within a minute: ${what}`);
};

/** Whether a new client is served; not while all connections are taken. */
const served = (whom = service): Promise<boolean> =>
  send('GET', '/healthz', { to: whom }).then(
    ({ status }) => status === 200,
    () => false,
  );

/** Attackers are gone, and so is all that they cost. */
const calmAgain = async (whom = service, before = calm): Promise<void> => {
  await eventually('the service has closed the attackers’ connections', () => open.size === 0);
  // The honest client's connection is one; what the store and the history have open varies by a few.
  await eventually('its sockets came back', () => whom.descriptors() <= before.descriptors + 8);
  await eventually('its memory came back', () => whom.memoryMiB() <= before.memoryMiB + 160);
  expect(await served(whom)).toBe(true);
  expect(whom.complaints()).toBe('');
};

const calmOf = async (whom: AttackedService): Promise<Calm> => {
  for (let n = 0; n < 50; n += 1) await send('GET', '/v1/openapi.json', { to: whom });
  return { memoryMiB: whom.memoryMiB(), descriptors: whom.descriptors() };
};

beforeAll(async () => {
  service = await startAttackedService();
  calm = await calmOf(service);
});
// What one test leaves is not the next one's.
afterEach(() => {
  for (const socket of open) socket.destroy();
});
afterAll(async () => {
  honest.destroy();
  expect(await service.stop()).toBe(0);
});

const head = (path: string, ...headers: string[]): string =>
  [`POST ${path} HTTP/1.1`, 'Host: x', 'Content-Type: application/json', ...headers, '', ''].join('\r\n');
const authorized = `Authorization: Bearer ${tokens.worker}`;

const asked = 'GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n';

/** While `attackers` go on, an honest client is answered; returns once the service has closed all of them. */
const whileTheyLast = async (attackers: readonly Socket[], drip: (socket: Socket) => void): Promise<void> => {
  // One that is closed already is `pending` again.
  await eventually('all attackers are connected', () =>
    attackers.every(({ pending, closed }) => closed || !pending),
  );
  for (let turn = 0; attackers.some(({ closed }) => !closed); turn += 1) {
    for (const socket of attackers) if (socket.writable) drip(socket);
    const answers = await Promise.all([
      honestly('GET', '/healthz'),
      honestly('GET', '/v1/status', { token: tokens.viewer, agent: honest }),
      honestly('POST', '/v1/sync', { token: tokens.worker, body: { jobs: [], ageMs: 0 } }),
    ]);
    expect(answers).toEqual([200, 200, 200]);
    if (turn > 1_000) throw new Error('the service never closes them');
    await sleep(30);
  }
};

describe('clients that take their time', () => {
  it('with headers that never end', async () => {
    const slow = Array.from({ length: 300 }, () => attack());
    for (const socket of slow) socket.write('GET /v1/node HTTP/1.1\r\nHost: x\r\n');
    await whileTheyLast(slow, (socket) => socket.write('X-a: b\r\n'));
    await calmAgain();
  });

  it('with bodies that come byte by byte, with a token and without', async () => {
    const slow = Array.from({ length: 300 }, () => attack());
    slow.forEach((socket, n) =>
      socket.write(
        head('/v1/leases', 'Content-Length: 100000', ...(n % 2 === 0 ? [authorized] : [])) + '{"job":"',
      ),
    );
    await whileTheyLast(slow, (socket) => socket.write('x'));
    await calmAgain();
  });

  it('that say nothing at all, or stop in the middle of a word', async () => {
    const silent = Array.from({ length: 300 }, () => attack());
    silent.forEach((socket, n) => socket.write(['', 'G', 'GET / HTTP/1.1\r\nHo', '\r\n'][n % 4] ?? ''));
    await whileTheyLast(silent, () => undefined);
    await calmAgain();
  });

  it('that shut their side down and wait', async () => {
    const halves = Array.from({ length: 300 }, () => attack());
    for (const socket of halves) {
      socket.allowHalfOpen = true;
      socket.end(head('/v1/leases', 'Content-Length: 1000', authorized) + '{');
    }
    await whileTheyLast(halves, () => undefined);
    await calmAgain();
  });

  it('that ask for much and never read it', async () => {
    // Fewer than the others: what is not read fills the buffers of this machine's network.
    const deaf = Array.from({ length: 20 }, () => attack(false));
    let most = 0;
    await whileTheyLast(deaf, (socket) => {
      most = Math.max(most, service.memoryMiB());
      socket.write(asked.repeat(3));
    });
    expect(most).toBeLessThan(calm.memoryMiB + 400);
    await calmAgain();
  });

  it('that ask for very much at once, never read it and say nothing more', async () => {
    const deaf = Array.from({ length: 100 }, () => attack(false));
    await Promise.all(deaf.map((socket) => once(socket, 'connect')));
    for (const socket of deaf) socket.write(asked.repeat(200));
    // Who neither reads nor writes does not hear of the end: the service's own descriptors tell.
    await eventually('the service gave them up', async () => {
      // A new client is answered all the while; on a busy machine the short limits of this service may cut one off.
      expect([await served(), await served(), await served()]).toContain(true);
      return service.descriptors() <= calm.descriptors + 8;
    });
    for (const socket of deaf) socket.destroy();
    await calmAgain();
  });
});

describe('bodies without end', () => {
  const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`;
  const flood = async (text: string): Promise<void> => {
    const floods = Array.from({ length: 8 }, () => attack());
    for (const socket of floods) socket.write(text);
    let most = 0;
    await whileTheyLast(floods, (socket) => {
      most = Math.max(most, service.memoryMiB());
      for (let n = 0; n < 4 && socket.writableLength < 1024 * 1024; n += 1) socket.write(chunk);
    });
    expect(most).toBeLessThan(calm.memoryMiB + 400);
    await calmAgain();
  };

  it('for a route that reads them', () =>
    flood(head('/v1/leases', 'Transfer-Encoding: chunked', authorized)));
  it('without a token', () => flood(head('/v1/leases', 'Transfer-Encoding: chunked')));
  it('for a route that takes none', () =>
    flood('GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'));
  it('for nothing at all', () => flood(head('/nowhere', 'Transfer-Encoding: chunked')));
  it('that are announced as endless', () =>
    flood(head('/v1/sync', 'Content-Length: 9007199254740991', authorized)));
});

describe('very many clients', () => {
  let before: Calm;
  const honestly = new Agent({ keepAlive: true, maxSockets: 1 });
  beforeAll(async () => {
    patient = await startAttackedService({
      ...{ headersMs: 15_000, requestMs: 60_000, keepAliveMs: 75_000, silenceMs: 60_000 },
    });
    before = await calmOf(patient);
  });
  afterAll(async () => {
    honestly.destroy();
    expect(await patient.stop()).toBe(0);
  });

  it('2,000 at once that are honest: each gets its answer', async () => {
    // A few less than the service takes, because others ask beside them.
    const crowd = 1_990;
    const answers = await Promise.all(
      Array.from({ length: crowd }, (_, n) =>
        n % 2 === 0
          ? send('GET', '/v1/node', { token: tokens.worker, to: patient })
          : send('POST', '/v1/releases', {
              ...{ token: tokens.worker, to: patient },
              body: { job: `${String(n)}.none` },
            }),
      ),
    );
    const statuses = new Map<number, number>();
    for (const { status } of answers) statuses.set(status, (statuses.get(status) ?? 0) + 1);
    expect([...statuses]).toEqual([[200, crowd]]);
    await calmAgain(patient, before);
  });

  it('more than it takes, who only sit there: those beyond are closed at once, a known client goes on, the rest time out', async () => {
    const known = { agent: honestly, to: patient };
    expect((await send('GET', '/healthz', known)).status).toBe(200);
    const crowd: Socket[] = [];
    // In parts: what overflows the kernel's queue of connections never reaches the service, and never hears of an end.
    for (let part = 0; part < 24; part += 1) {
      const these = Array.from({ length: 100 }, () => attack(true, patient));
      crowd.push(...these);
      await eventually('they are connected or refused', () => these.every(({ connecting }) => !connecting));
      expect((await send('GET', '/healthz', known)).status).toBe(200);
    }
    await eventually('those beyond the limit are closed', () => open.size <= 2_000);
    expect((await send('GET', '/v1/status', { token: tokens.viewer, ...known })).status).toBe(200);
    await eventually('a new client is served again', () => served(patient));
    await eventually('all of the crowd are closed', () => crowd.every(({ closed }) => closed));
    honestly.destroy();
    await calmAgain(patient, before);
  });

  it('long polls whose clients leave cost nothing afterwards', async () => {
    const gone = Array.from({ length: 500 }, () => attack());
    await Promise.all(gone.map((socket) => once(socket, 'connect')));
    gone.forEach((socket, n) => {
      const body = JSON.stringify(ask(`${String(n % 20)}.poll`));
      socket.write(
        head('/v1/leases?wait=60', `Content-Length: ${String(Buffer.byteLength(body))}`, authorized) + body,
      );
    });
    await sleep(50);
    for (const socket of gone) socket.destroy();
    await calmAgain();
    for (let n = 0; n < 20; n += 1)
      expect(
        (await send('POST', '/v1/releases', { token: tokens.worker, body: { job: `${String(n)}.poll` } }))
          .status,
      ).toBe(200);
  });
});

describe('what is not HTTP', () => {
  it('is refused, or closed in time', async () => {
    const strange = [
      'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      'POST /v1/leases HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc',
      'POST /v1/leases HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n',
      'POST /v1/leases HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
      'GET /v1/node HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\nb\r\n\r\n',
      'GET /v1/status HTTP/1.1\r\n\r\n',
      'GET \0 HTTP/1.1\r\nHost: x\r\n\r\n',
      'GET /v1/leases/%ff%00%zz HTTP/1.1\r\nHost: x\r\n\r\n',
      'GET //v1//status HTTP/1.1\r\nHost: x\r\n\r\n',
      'GET http://elsewhere/v1/status HTTP/1.1\r\nHost: x\r\n\r\n',
      'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n',
      'CONNECT elsewhere:443 HTTP/1.1\r\nHost: x\r\n\r\n',
      'GET /healthz HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
      'GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: 200-ok\r\n\r\n',
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
      'GET / HTTP/9.9\r\nHost: x\r\n\r\n',
      'x'.repeat(100_000),
    ];
    const talks = strange.map((text) => {
      const socket = attack();
      let heard = '';
      socket.setEncoding('latin1').on('data', (more: string) => (heard += more));
      socket.write(Buffer.from(text, 'latin1'));
      return { text: text.slice(0, 60), closed: once(socket, 'close'), heard: () => heard };
    });
    for (const { text, closed, heard } of talks) {
      await closed;
      const status = /^HTTP\/1\.1 (\d+)/.exec(heard())?.[1] ?? 'closed';
      const quiet = ['GET /healthz HTTP/1.1', 'CONNECT'].some((begin) => text.startsWith(begin));
      expect([text, status]).toEqual([
        text,
        expect.stringMatching(quiet ? /^(200|400|417|closed)$/ : /^4\d\d$/),
      ]);
    }
    await calmAgain();
  });
});
