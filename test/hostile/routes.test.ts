import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fuzzer } from '../../scripts/fuzzer/located.mjs';
import { createClient } from '../../src/http/client.js';
import { leaseRequest, type LeaseAnswer, type StatusView } from '../../src/http/api.js';
import { routes } from '../../src/http/routes.js';
import { ask, tokens } from '../fast/http/harness.js';
import { startAttackedService, type AttackedService } from './service-process.js';

// The first run on a machine installs the fuzzer.
jest.setTimeout(10 * 60_000);

let service: AttackedService;
let folder: string;
let leases: readonly LeaseAnswer[];
let status: StatusView;

beforeAll(async () => {
  execFileSync(process.execPath, ['scripts/fuzzer/install.mjs'], { stdio: 'inherit', timeout: 8 * 60_000 });
  folder = mkdtempSync(join(tmpdir(), 'vmpool-fuzz-'));
  service = await startAttackedService();
  const worker = createClient({ url: service.url, token: tokens.worker, timeoutMs: 60_000 });
  const asked = [1, 2, 3].map((n) => worker.request(leaseRequest.parse(ask(`${String(n)}.server`))));
  leases = await Promise.all(asked);
  status = await worker.status();
  worker.close();
});
afterAll(async () => {
  expect(await service.stop()).toBe(0);
  rmSync(folder, { recursive: true, force: true });
});

interface Attack {
  readonly name: string;
  readonly token: string | null;
  /** `coverage`: every field at, within and beyond each of its limits; `fuzzing`: whatever fits or not. */
  readonly phases: string;
  /** In the place of made-up ids: what is really there. */
  readonly own?: { readonly lease: string; readonly member: string };
}

interface Fuzzed {
  readonly code: number;
  readonly output: string;
  readonly calls: readonly { readonly operation: string; readonly status: number }[];
}

interface Har {
  readonly log: {
    readonly entries: readonly {
      readonly request: { readonly method: string; readonly url: string };
      readonly response: { readonly status: number };
    }[];
  };
}

const examples = 12;
/** A hang, on a machine as busy as may be: an attack takes half a minute of a core. */
const attackLimitMs = 8 * 60_000;

function fuzz({ name, token, phases, own }: Attack): Promise<Fuzzed> {
  const config = join(folder, `${name}.toml`);
  const report = join(folder, `${name}.har`);
  // A request that fits its schema may still ask for more processors than a VM has (422).
  const accepted = '["2xx", "401", "403", "404", "409", "422"]';
  writeFileSync(
    config,
    `[checks.positive_data_acceptance]\nexpected-statuses = ${accepted}\n` +
      // A stream that lasts as long as it was asked to is no hang.
      `[parameters]\n"query.for" = "0"\n` +
      (own === undefined
        ? ''
        : `"path.id" = ${JSON.stringify(own.lease)}\n"path.name" = ${JSON.stringify(own.member)}\n`),
  );
  const args = [
    ...['--config-file', config, 'run', `${service.url}/v1/openapi.json`, '--no-color', '--warnings', 'off'],
    ...['--phases', phases, '--max-examples', String(examples), '--seed', '20', '--continue-on-failure'],
    ...['--generation-database', 'none', '--request-timeout', '60', '--report-har-path', report],
    ...(token === null ? [] : ['--header', `Authorization: Bearer ${token}`]),
  ];
  return new Promise((resolve, reject) => {
    execFile(
      fuzzer().program,
      args,
      { cwd: folder, timeout: attackLimitMs, killSignal: 'SIGKILL', maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        const output = stdout + stderr;
        if (code === -1) reject(new Error(`${name}: ${error?.message ?? ''}\n${output}`));
        else {
          const { entries } = (JSON.parse(readFileSync(report, 'utf8')) as Har).log;
          const calls = entries.map(({ request, response }) => ({
            operation: `${request.method} ${new URL(request.url).pathname}`,
            status: response.status,
          }));
          resolve({ code, output, calls });
        }
      },
    );
  });
}

const fits = (path: string, operation: string): boolean =>
  new RegExp(`^[A-Z]+ ${path.replace(/:[A-Za-z]+/g, '[^/]+').replaceAll('.', '\\.')}$`).test(operation);

describe('every route of the OpenAPI document, fuzzed', () => {
  it('as each role and as nobody: no failure of the service, and every answer as described', async () => {
    const [first, second, third] = leases;
    const members = status.members.map(({ name }) => name);
    const own = (lease: LeaseAnswer | undefined, member: number) => ({
      own: { lease: lease?.id ?? '', member: members[member] ?? '' },
    });
    const attacks: readonly Attack[] = [
      { name: 'worker', token: tokens.worker, phases: 'coverage,fuzzing' },
      { name: 'operator', token: tokens.operator, phases: 'coverage,fuzzing' },
      { name: 'worker-own', token: tokens.worker, phases: 'fuzzing', ...own(first, 0) },
      { name: 'operator-own', token: tokens.operator, phases: 'fuzzing', ...own(second, 1) },
      { name: 'viewer', token: tokens.viewer, phases: 'fuzzing', ...own(second, 2) },
      { name: 'capability', token: third?.capability ?? '', phases: 'fuzzing', ...own(third, 0) },
      { name: 'nobody', token: null, phases: 'fuzzing', ...own(first, 0) },
    ];
    const waiting = [...attacks];
    const fuzzed = new Map<string, Fuzzed>();
    const drain = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
        fuzzed.set(next.name, await fuzz(next));
    };
    await Promise.all([drain(), drain()]);
    for (const [name, { code, output }] of fuzzed)
      if (code !== 0) throw new Error(`as ${name}, exit code ${String(code)}:\n${output}`);
    expect(service.complaints()).toBe('');

    // The fuzzer reads the document itself and does not attack it.
    const attacked = routes.filter(({ path }) => path !== '/v1/openapi.json');
    // The attack was one: each role was at each route, and where it may, it got through.
    for (const [name, { calls }] of fuzzed) {
      const missed = attacked.filter(({ path }) => !calls.some(({ operation }) => fits(path, operation)));
      expect([name, missed.map(({ method, path }) => `${method} ${path}`)]).toEqual([name, []]);
      expect([name, calls.filter((call) => call.status >= 500)]).toEqual([name, []]);
    }
    const seen = (name: string): ReadonlySet<number> =>
      new Set(fuzzed.get(name)?.calls.map((call) => call.status));
    expect([...seen('worker')]).toEqual(expect.arrayContaining([200, 202, 400, 403, 404]));
    expect([...seen('operator-own')]).toEqual(expect.arrayContaining([200, 400, 403]));
    expect([...seen('capability')]).toEqual(expect.arrayContaining([200, 403]));
    const asNobody = fuzzed.get('nobody')?.calls ?? [];
    const open = routes.filter(({ roles }) => roles.length === 0).map(({ path }) => path);
    for (const { operation, status: got } of asNobody)
      if (!open.some((path) => fits(path, operation))) expect([operation, got]).toEqual([operation, 401]);
    const total = [...fuzzed.values()].reduce((sum, { calls }) => sum + calls.length, 0);
    expect(total).toBeGreaterThan(1_000);
    console.log(`${String(total)} calls of the fuzzer answered as described`);
  });

  it('left a service that works: it leases, serves and shows as before', async () => {
    const worker = createClient({ url: service.url, token: tokens.worker2, timeoutMs: 60_000 });
    try {
      const lease = await worker.request(leaseRequest.parse(ask('after.server')), { waitSeconds: 1 });
      expect(['granted', 'waiting']).toContain(lease.state);
      expect(await worker.releaseLease(lease.id)).toMatchObject({ outcome: 'ended' });
    } finally {
      worker.close();
    }
  });
});
