import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCli } from '../../../src/cli/program.js';
import { plain } from '../../../src/cli/terminal.js';
import { loadOrMakeSecret } from '../../../src/config/secret-file.js';
import { createClient } from '../../../src/http/client.js';
import { membersOf, type Book } from '../../../src/pool/book.js';
import { bookFormat } from '../../../src/pool/book-schema.js';
import { installationOf } from '../../../src/service/installation.js';
import { bookPath, openBook } from '../../../src/service/open-book.js';
import { openHistory } from '../../../src/store/history.js';
import { readHistory } from '../../../src/store/history-read.js';
import { openUsage } from '../../../src/usage/journal.js';
import { repoRoot } from '../../../src/repo-root.js';
import { send, tokens, type Answer } from '../http/harness.js';
import { shapeOf, viewOf } from '../pool/fixture.js';
import { fakeLog } from '../service/fake-ports.js';
import { until } from '../service/manual-clock.js';
import { startWhole, type WholeService } from '../service/whole-service.js';

/**
 * `state-1` is the state directory that a service of store version 1 has left: two VMs, of which one has had job 4710
 * and has 4711 now, the other 4712; 4713 waits. It was written by that version's own code, on a cloud and VMs that were
 * played, and is never written anew. A new version of the store puts one of the version before beside it.
 */
const fixtures = join(repoRoot, 'test', 'fast', 'upgrade');
const fixture = (version: number): string => join(fixtures, `state-${String(version)}`);
const running = 'e56931fafaba74aadde7dc5a76af8c2a';
const waits = '832e8e0f5e57d84c2aa228dc518c6309';
const vm = 'batch-0002-dyk7';
/** As that service gave it to the job's side, which has it still. */
const capability = 'vmpc_e56931fafaba74aadde7dc5a76af8c2a_QhoKxEmBCUNcQK_1W7WI1qTpL5s8QAiBvSdLU5Qvnbw';
/** What that service answered to a look at the running job's lease. */
const before = {
  ...{ id: running, state: 'granted', worker: 'node1', job: '4711.torque', user: 'alice', queue: 'batch' },
  ...{ position: null, detail: `ready on ${vm}`, ready: true },
  vm: {
    ...{ member: vm, host: '10.0.0.8', port: 22, hostKeys: ['ssh-ed25519 AAAA'], user: 'alice' },
    stack: 'batch-c001',
  },
  askedAt: '2026-05-04T08:02:20.200Z',
  grantedAt: '2026-05-04T08:02:20.200Z',
};

let stateDir: string;
let service: WholeService;
let found: Book;

/** Opens what is in the state directory as the service does at its start. */
const openDisk = async () => {
  const installation = await installationOf(stateDir);
  const owner = { stateDir, pool: 'batch', hostKeys: 'console' } as const;
  const { store, book } = await openBook(owner, installation, fakeLog(), {
    now: () => Date.UTC(2026, 4, 4, 9),
  });
  const history = await openHistory({ dir: join(stateDir, 'history'), maxBytes: 2 ** 20, keep: 2 });
  const usage = await openUsage({
    ...{
      dir: join(stateDir, 'usage'),
      size: 2 ** 20,
      keepMs: 2 ** 40,
      now: () => book.at,
      onWarning: () => undefined,
    },
  });
  return { store, book, history, usage };
};

beforeAll(async () => {
  stateDir = mkdtempSync(join(tmpdir(), 'vmpool-upgrade-'));
  cpSync(fixture(bookFormat.version - 1), stateDir, { recursive: true });
  // A checkout does not keep the modes that the service insists on.
  for (const name of readdirSync(stateDir, { recursive: true, encoding: 'utf8' }))
    chmodSync(join(stateDir, name), name === 'history' ? 0o700 : 0o600);
  for (const [name, token] of Object.entries({
    worker: tokens.worker,
    operator: tokens.operator,
    job: capability,
  }))
    writeFileSync(join(stateDir, `${name}.token`), `${token}\n`, { mode: 0o600 });
  const { book, ...disk } = await openDisk();
  found = book;
  const secret = Buffer.from(await loadOrMakeSecret(join(stateDir, 'capability.key')));
  service = await startWhole(book, shapeOf({ min: 2, max: 2 }), secret, {
    ...disk,
    readHistory: (wish, signal) => readHistory(join(stateDir, 'history'), wish, signal),
  });
  // The cloud and the VMs are as that service has left them.
  for (const { name, cell, server, endpoint } of membersOf(book)) {
    const addresses = { net0: [{ address: endpoint?.host ?? '', version: 4, type: 'fixed' }] } as const;
    const view = viewOf(name, server?.id ?? '', { cell, pool: 'batch', addresses });
    service.cloud.servers.set(view.id, view);
  }
  for (const { member, request } of book.leases.values())
    service.guest.markers.set(member, {
      ...{ lease: request.id, key: request.key, user: request.user, authentic: true },
    });
  await service.clock.advance(1_000);
}, 60_000);
afterAll(async () => {
  await service.stop();
  rmSync(stateDir, { recursive: true, force: true });
});

const get = (path: string, token: string): Promise<Answer> => send(service.port, 'GET', path, { token });

/** The command line as a person runs it, over HTTP. */
const vmpool = async (
  who: 'worker' | 'operator' | 'job',
  ...args: readonly string[]
): Promise<{ code: number; out: string; err: string }> => {
  const [out, err]: [string[], string[]] = [[], []];
  const code = await runCli(args, {
    terminal: {
      out: (text) => void out.push(`${text}\n`),
      err: (text) => void err.push(`${text}\n`),
      write: (text) => void out.push(text),
      ...{ interactive: false, paint: plain, size: () => ({ columns: 80, rows: 24 }) },
      onResize: () => () => undefined,
    },
    env: { VMPOOL_URL: service.url, VMPOOL_TOKEN_FILE: join(stateDir, `${who}.token`) },
    confirm: () => Promise.resolve(null),
    stop: new AbortController().signal,
    connect: createClient,
  });
  return { code, out: out.join(''), err: err.join('') };
};
const json = async (...args: readonly string[]): Promise<unknown> => {
  const { code, out, err } = await vmpool('operator', ...args, '--json');
  expect({ code, err }).toEqual({ code: 0, err: '' });
  return JSON.parse(out);
};

it('each version of the store has a state directory of the version before', () => {
  for (let version = 1; version < bookFormat.version; version += 1)
    expect(existsSync(fixture(version))).toBe(true);
  const { version } = JSON.parse(readFileSync(bookPath(fixture(bookFormat.version - 1)), 'utf8')) as {
    version: number;
  };
  expect(version).toBe(bookFormat.version - 1);
});

describe('a service that starts on the state of the version before, while jobs run', () => {
  it('has all of it: VMs, leases, requests, what has ended', () => {
    expect(found.leases.size).toBe(2);
    expect(found.requests.size).toBe(1);
    expect(found.ended.get('4710.torque')).toMatchObject({ worker: 'node1', start: 1 });
  });

  it('shows the running lease over HTTP as before, to its worker and by the capability that its job has', async () => {
    expect((await get(`/v1/leases/${running}`, tokens.worker)).json).toEqual(before);
    expect((await get(`/v1/leases/${running}`, capability)).json).toEqual(before);
    expect((await get(`/v1/leases/${waits}`, capability)).status).toBe(404);
    expect((await get('/readyz', tokens.worker)).status).toBe(200);
  });

  it('leaves its VMs alone, as of the right generation', async () => {
    await service.clock.advance(120_000);
    const { members } = service.pool.service.status();
    expect(members.map(({ state, current, retiring }) => ({ state, current, retiring }))).toEqual(
      members.map(() => ({ state: 'Busy', current: true, retiring: null })),
    );
    expect(service.cloud.deleted).toEqual([]);
    expect(service.guest.calls.filter((call) => /^(scrub|stage|baseline)/.test(call))).toEqual([]);
    for (const { wish } of service.engine.runs) expect(wish.retire).toEqual([]);
  });

  it('refuses a late call of a start that ended before the upgrade', async () => {
    const body = {
      ...{ job: '4710.torque', publicKey: 'ssh-ed25519 AAAA' },
      attempt: { start: 1, boot: '3e0d7b1c-5a4f-4f0e-8f35-0d5c7f6b2a11', pid: 8710, ticks: 904_710 },
      user: { name: 'alice', uid: 1201, gid: 1200, groups: [], home: '/home/alice', shell: '/bin/bash' },
    };
    const { status, json: problem } = await send(service.port, 'POST', '/v1/leases', {
      token: tokens.worker,
      body,
    });
    expect({ status, type: problem['type'] }).toEqual({
      status: 409,
      type: 'urn:vmpool:problem:stale-attempt',
    });
  });

  it('is read by vmpool: VMs, leases, who waits, and the history of before', async () => {
    expect((await vmpool('operator', 'status')).out).toMatch(/4711\.torque/);
    expect(await json('leases')).toMatchObject({
      leases: [{ job: '4712.torque' }, { id: running, ready: true }],
    });
    expect(await json('requests')).toMatchObject({ requests: [{ id: waits, position: 1 }] });
    expect(await json('vms')).toMatchObject({
      members: [{ name: vm, job: { id: '4711.torque' } }, { state: 'Busy' }],
    });
    expect(await json('vm', 'show', vm)).toMatchObject({ member: { name: vm }, lease: { id: running } });
    const { history } = (await json('why', '4710')) as { history: { kind: string; at: string }[] };
    expect(history.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(['request', 'lease', 'staged', 'lease-ended']),
    );
    expect(history[0]?.at).toBe('2026-05-04T08:00:00.000Z');
    expect((await vmpool('operator', 'why', '4711')).out).toContain(vm);
  });

  it('releases the lease by vmpool, cleans the VM, and gives it to the job that waited', async () => {
    const released = await vmpool('job', 'release', running);
    expect(released).toMatchObject({ code: 0, out: expect.stringMatching(/^Ended: /) as unknown });
    await until(service.clock, 'the next lease', () => service.pool.service.lease(waits)?.ready === true);
    expect(service.guest.calls).toEqual(expect.arrayContaining([`scrub ${vm}`, `stage ${vm}`]));
    expect((await get(`/v1/leases/${waits}`, tokens.worker)).json).toMatchObject({
      vm: { member: vm },
      state: 'granted',
    });
    expect((await get(`/v1/leases/${running}`, tokens.worker)).json).toMatchObject({ state: 'ended' });
    const usage = (await json('usage', '--since', '2026-05-04', '--until', '2026-05-05')) as {
      rows: object[];
    };
    expect(usage.rows).toMatchObject([{ keys: ['alice'], leases: 1 }]);
  });

  it('keeps it in its own format, and goes on from that at its next start', async () => {
    await service.stop();
    expect(JSON.parse(readFileSync(bookPath(stateDir), 'utf8'))).toMatchObject({
      version: bookFormat.version,
    });
    const { store, history, usage, book } = await openDisk();
    await Promise.all([store.close(), history.close(), usage.close()]);
    expect(book.leases.get(waits)?.member).toBe(vm);
    expect(book.leases.get(running)).toBeUndefined();
    expect(book.members.keys().toSorted()).toEqual(found.members.keys().toSorted());
  });
});
