import { afterEach, describe, expect, it } from '@jest/globals';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ServiceClient } from '../../../hooks/src/service-client.js';
import type { LeaseRequest } from '../../../src/http/api.js';

const request: LeaseRequest = {
  job: '1.srv',
  attempt: { start: 1, boot: 'b', pid: 2, ticks: 3 },
  user: { name: 'a', uid: 1000, gid: 1000, groups: [], home: '/home/a', shell: '/bin/sh' },
  publicKey: 'ssh-ed25519 AAAA',
  processors: 1,
  queue: '',
  jobName: '',
};

/** A lease service that refuses these fields, as one of before them does, and what it was asked. */
class Older {
  readonly asked: string[][] = [];
  private server: Server | null = null;

  constructor(private readonly unknown: readonly string[]) {}

  async start(): Promise<ServiceClient> {
    const server = createServer((incoming, answer) => {
      const parts: Buffer[] = [];
      incoming.on('data', (part: Buffer) => parts.push(part));
      incoming.on('end', () => {
        const fields = Object.keys(JSON.parse(Buffer.concat(parts).toString()) as object);
        this.asked.push(fields.filter((field) => !Object.keys(request).includes(field)));
        const bad = fields.some((field) => this.unknown.includes(field));
        answer.writeHead(bad ? 400 : 202, { 'content-type': 'application/json' });
        answer.end(
          JSON.stringify(
            bad
              ? { type: 'urn:vmpool:problem:invalid-input', title: 'not valid', status: 400, detail: 'no' }
              : {
                  id: 'l1',
                  state: 'waiting',
                  detail: '',
                  ready: false,
                  position: 1,
                  vm: null,
                  capability: 'c',
                },
          ),
        );
      });
    });
    this.server = server;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new ServiceClient(
      `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
      null,
      'token',
    );
  }

  async stop(): Promise<void> {
    const { server } = this;
    server?.closeAllConnections();
    if (server !== null) await new Promise((resolve) => server.close(resolve));
  }
}

describe('a service of before a field', () => {
  let older: Older;
  afterEach(() => older.stop());

  const limits = { mem: 1024 };
  it.each([
    ['of now', [], { limits, maxWaitSeconds: 60 }, [['limits', 'maxWaitSeconds']]],
    [
      'that knows limits alone',
      ['maxWaitSeconds'],
      { limits, maxWaitSeconds: 60 },
      [['limits', 'maxWaitSeconds'], ['limits']],
    ],
    [
      'that knows neither',
      ['limits', 'maxWaitSeconds'],
      { limits, maxWaitSeconds: 60 },
      [['limits', 'maxWaitSeconds'], ['limits'], []],
    ],
    [
      'that need not know limits',
      ['limits', 'maxWaitSeconds'],
      { maxWaitSeconds: 60 },
      [['maxWaitSeconds'], []],
    ],
    ['asked as ever', ['limits', 'maxWaitSeconds'], {}, [[]]],
  ] as const)('%s gets the request without what it does not know', async (_, unknown, more, asked) => {
    older = new Older(unknown);
    const client = await older.start();
    expect(await client.request({ ...request, ...more }, 0, 5_000)).toMatchObject({
      kind: 'done',
      value: { id: 'l1', state: 'waiting' },
    });
    expect(older.asked).toEqual(asked);
  });

  it('is not asked for ever: what it refuses in the end is refused', async () => {
    older = new Older(['job']);
    const client = await older.start();
    expect(await client.request({ ...request, limits, maxWaitSeconds: 60 }, 0, 5_000)).toMatchObject({
      kind: 'problem',
      code: 'invalid-input',
    });
    expect(older.asked).toHaveLength(3);
  });
});
