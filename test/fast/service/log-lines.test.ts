import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { generateKeyPairSync } from 'node:crypto';
import { capabilityToken } from '../../../src/http/authenticate.js';
import { emptyBook } from '../../../src/pool/book.js';
import type { InstallationId } from '../../../src/pool/model.js';
import { ask, send, tokens } from '../http/harness.js';
import { epoch, shapeOf } from '../pool/fixture.js';
import { until } from './manual-clock.js';
import { startWhole, type WholeService } from './whole-service.js';

type Line = Readonly<Record<string, unknown>>;
const secret = 'the-secret-behind-capabilities-of-this-test';
const job = '4711.torque';
const privateKey = generateKeyPairSync('ed25519')
  .privateKey.export({ type: 'pkcs8', format: 'pem' })
  .toString();
/** Sent by somebody as a token, as a capability, and in the place of other things: none is known here. */
const wrong = {
  token: 'a-token-that-nobody-knows-here',
  capability: capabilityToken('f00d', 'n0t-the-h4sh'),
};

let service: WholeService;
let lines: readonly Line[];
let lease: string;
let vm: string;
let capability: string;
/** Ids that the service gave to HTTP requests, by what they were for. */
const requestIds: Record<string, string> = {};

beforeAll(async () => {
  service = await startWhole(
    emptyBook('i' as InstallationId, 'p', epoch),
    shapeOf({ min: 0, max: 2 }),
    Buffer.from(secret),
  );
  const call = async (what: string, ...[method, path, sending]: [string, string, object]) => {
    const answer = await send(service.port, method, path, sending);
    requestIds[what] = String(answer.headers['x-request-id']);
    return answer;
  };
  const body = ask(job);
  const asked = await call('request', 'POST', '/v1/leases', { token: tokens.worker, body });
  lease = String(asked.json['id']);
  capability = String(asked.json['capability']);
  // The first attempt to make a VM ready fails, so that the lines of that are among them.
  const stage = service.guest.onStage;
  let attempts = 0;
  service.guest.onStage = (...given) => {
    attempts += 1;
    return attempts === 1
      ? Promise.resolve({ ok: false, kind: 'foreign-marker', why: 'it bears a marker' })
      : stage(...given);
  };
  await until(service.clock, 'a ready lease', () => service.pool.service.lease(lease)?.ready === true);
  const { json } = await call('look', 'GET', `/v1/leases/${lease}`, { token: capability });
  vm = (json['vm'] as { member: string }).member;
  await call('second', 'POST', '/v1/leases', { token: tokens.worker2, body });
  await call('stranger', 'GET', `/v1/leases/${lease}`, { token: wrong.token });
  await call('forger', 'GET', `/v1/leases/${lease}`, { token: wrong.capability });
  await call('key in the wrong place', 'POST', '/v1/leases', {
    token: tokens.worker,
    body: { ...body, publicKey: privateKey, password: 'pass-of-the-user' },
  });
  await call('not JSON', 'POST', '/v1/leases', { token: tokens.worker, raw: `{"token":"${tokens.worker}"` });
  await call('address with a token', 'GET', `/v1/status?token=${tokens.operator}`, {
    token: tokens.operator,
  });
  await call('release', 'POST', '/v1/releases', { token: tokens.worker, body: { job } });
  await until(service.clock, 'a clean VM', () =>
    service.pool.service.status().members.some(({ name, state }) => name === vm && state === 'Free'),
  );
  await call('retire', 'POST', `/v1/members/${vm}/retire`, { token: tokens.operator, body: { reason: 'x' } });
  await service.stop();
  lines = service.logged.map((line) => JSON.parse(line) as Line);
}, 60_000);
afterAll(() => service.stop());

describe("the log of a lease's life", () => {
  const of = (event: string): readonly Line[] => lines.filter((line) => line['event'] === event);
  const answered = (what: string): Line | undefined =>
    lines.find((line) => line['requestId'] === requestIds[what]);

  it('is JSON, a line each, with time, level and words', () => {
    for (const line of service.logged) expect(line).toMatch(/^\{.*\}\n$/);
    for (const line of lines)
      expect(line).toMatchObject({
        level: expect.any(Number) as unknown,
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as unknown,
        msg: expect.any(String) as unknown,
      });
  });

  it.each(['request', 'lease', 'staged', 'stage-failed', 'lease-ended', 'job-ended'])(
    'says of what and whose each step is: %s',
    (event) => {
      expect(of(event).length).toBeGreaterThan(0);
      for (const line of of(event)) expect(line).toMatchObject({ lease, job, user: 'ann' });
      if (event !== 'request')
        for (const line of of(event)) expect(line['vm']).toEqual(expect.stringMatching(/^p-\d{4}-/));
    },
  );

  it('says of a VM that failed why, as the figures do', () => {
    const failed = of('vm').filter((line) => line['failure'] !== undefined);
    expect(failed).toMatchObject([
      { failure: 'staging', lease, job, msg: expect.stringMatching(/^Busy -> /) as unknown },
    ]);
    expect(failed[0]?.['vm']).not.toBe(vm);
  });

  it('names lease and job in each move of its VM, until that is clean', () => {
    const moves = of('vm').filter((line) => line['vm'] === vm && line['lease'] === lease);
    expect(moves.map(({ msg }) => String(msg).split(':')[0])).toEqual([
      'decided',
      'Free -> Busy',
      'Busy -> scrubbing',
      'scrubbing -> Free',
    ]);
    for (const line of moves) expect(line).toMatchObject({ job });
  });

  it.each(['request', 'look', 'release'])('ties the HTTP request to the job: %s', (what) => {
    expect(requestIds[what]).toMatch(/^[0-9a-f-]{36}$/);
    expect(answered(what)).toMatchObject({ job, msg: 'answered' });
    if (what !== 'release') expect(answered(what)).toMatchObject({ lease });
    if (what === 'look') expect(answered(what)).toMatchObject({ vm });
  });

  it('ties it also where the answer was no, and an order to its VM', () => {
    expect(answered('second')).toMatchObject({ job, status: 409, who: 'n2' });
    expect(answered('retire')).toMatchObject({ vm, status: 200, who: 'admin' });
  });

  it('names nothing that was only said by somebody without a good token', () => {
    for (const what of ['stranger', 'forger']) {
      expect(answered(what)).toMatchObject({ status: 401, who: null });
      expect(answered(what)).not.toHaveProperty('lease');
    }
  });
});

describe('no secret is in the log', () => {
  const all = (): string => service.logged.join('');

  it('that the test itself would see', () => {
    expect(all()).toContain(lease);
    expect(all().length).toBeGreaterThan(2_000);
  });

  it.each([
    ['a token of a worker', () => tokens.worker],
    ['a token of another worker', () => tokens.worker2],
    ['a token of an operator, given in the address', () => tokens.operator],
    ['the capability of the lease', () => capability],
    ['its hash alone', () => capability.split('_').at(-1) ?? ''],
    ['the secret behind it', () => secret],
    ['a token that nobody knows', () => wrong.token],
    ['a forged capability', () => wrong.capability],
    ['a private key in the place of a public one', () => privateKey.split('\n')[1] ?? ''],
    ['a field that is not known', () => 'pass-of-the-user'],
    ["the job's public key", () => String(ask(job).publicKey)],
  ])('%s', (_what, word) => {
    expect(word().length).toBeGreaterThan(10);
    expect(all()).not.toContain(word());
  });
});
