import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCli } from '../../../src/cli/program.js';
import { coloured, plain } from '../../../src/cli/terminal.js';
import { jobEnds } from '../../../src/pool/measured.js';
import type { Access } from '../../../src/cli/access.js';
import type { EventView, LeaseAnswer, MemberView, StatusView } from '../../../src/http/api.js';
import type { UsageView } from '../../../src/http/usage-api.js';
import type { ConfigAnswer } from '../../../src/http/config-api.js';
import type { HistoryEntry, MemberDetail } from '../../../src/http/detail-api.js';
import type { PlanView } from '../../../src/http/plan-api.js';
import { ProblemError, UnreachableError, type Client } from '../../../src/http/client.js';

/** A status as the service would tell it. */
export const statusView = (changes: Partial<StatusView> = {}): StatusView => ({
  pool: 'batch',
  installation: 'a3d7c6de-0000-4000-8000-000000000000',
  version: '0.1.0',
  now: '2026-11-23T10:00:00.000Z',
  shape: { min: 1, max: 6, spare: 0, generation: 'abc123', flavor: 'small', image: 'debian' },
  counts: { free: 0, busy: 0, unusable: 0, waiting: 0, leases: 0 },
  problems: [],
  breaker: { open: false, failures: 0, until: null, why: null },
  quota: null,
  members: [],
  requests: [],
  leases: [],
  cells: [],
  workers: [],
  services: [],
  paused: null,
  ...changes,
});

export const memberView = (name: string, changes: Partial<MemberView> = {}): MemberView => ({
  name,
  cell: 'c001',
  state: 'Free',
  reason: null,
  detail: '',
  since: '2026-11-23T09:59:55.000Z',
  bornAt: '2026-11-23T09:00:00.000Z',
  generation: 'abc123',
  current: true,
  serverId: null,
  address: '10.0.0.7',
  retiring: null,
  probe: null,
  job: null,
  ...changes,
});

export const leaseAnswer = (changes: Partial<LeaseAnswer> = {}): LeaseAnswer => ({
  id: 'f00d',
  state: 'granted',
  worker: 'node1',
  job: 'hand-1',
  position: null,
  detail: 'ready on batch-0001-abcd',
  vm: {
    member: 'batch-0001-abcd',
    host: '10.0.0.7',
    port: 22,
    hostKeys: ['ssh-ed25519 AAAA'],
    user: 'alice',
    stack: null,
  },
  ready: true,
  askedAt: '2026-11-23T10:00:00.000Z',
  grantedAt: '2026-11-23T10:00:01.000Z',
  capability: 'cap',
  ...changes,
});

/** A service that answers what the test says, and remembers what it was asked. */
export class FakeClient implements Client {
  readonly asked: string[] = [];
  closed = false;
  view: StatusView = statusView();
  leases: LeaseAnswer[] = [leaseAnswer()];
  failure: Error | null = null;

  #answer<T>(call: string, value: T): Promise<T> {
    this.asked.push(call);
    return this.failure === null ? Promise.resolve(value) : Promise.reject(this.failure);
  }
  #lease(): LeaseAnswer {
    const [next = leaseAnswer(), ...rest] = this.leases;
    if (rest.length > 0) this.leases = rest;
    return next;
  }
  request: Client['request'] = (body) =>
    this.#answer(
      `request ${body.job} ${body.user.name} ${body.publicKey.split(' ')[0] ?? ''}` +
        (body.maxWaitSeconds === undefined ? '' : ` within ${String(body.maxWaitSeconds)} s`),
      this.#lease(),
    );
  lease: Client['lease'] = (id) => this.#answer(`lease ${id}`, this.#lease());
  releaseLease: Client['releaseLease'] = (id) =>
    this.#answer(`releaseLease ${id}`, { outcome: 'ended', detail: 'released' });
  release: Client['release'] = ({ job }) =>
    this.#answer(`release ${job}`, { outcome: 'nothing-to-end', detail: 'unknown job' });
  sync: Client['sync'] = () => this.#answer('sync', { ended: [] });
  node: Client['node'] = () => this.#answer('node', { ok: true, detail: '' });
  status: Client['status'] = () => this.#answer('status', this.view);
  drain: Client['drain'] = (member, reason) =>
    this.#answer(`drain ${member}: ${reason}`, { detail: `${member} is drained` });
  kill: Client['kill'] = (member, reason) =>
    this.#answer(`kill ${member}: ${reason}`, { detail: `${member} is being deleted` });
  pause: Client['pause'] = ({ reason, forSeconds }) =>
    this.#answer(`pause ${String(reason)} ${String(forSeconds)}`, { detail: 'changes are paused' });
  resume: Client['resume'] = () => this.#answer('resume', { detail: 'changes go on' });
  hold: Client['hold'] = (member, { reason, forSeconds }) =>
    this.#answer(
      `hold ${member}: ${String(reason)}${forSeconds === undefined ? '' : ` for ${String(forSeconds)} s`}`,
      { detail: `${member} is held` },
    );
  unhold: Client['unhold'] = (member) =>
    this.#answer(`unhold ${member}`, { detail: `${member} goes to the scrub` });
  retire: Client['retire'] = (member, reason) =>
    this.#answer(`retire ${member}: ${reason}`, { detail: `${member} is being retired` });
  adopt: Client['adopt'] = () => this.#answer('adopt', { detail: 'adopted' });
  configAnswer: ConfigAnswer = {
    applied: true,
    detail: 'adopted: min 1, max 60, spare 0, generation abc',
    changes: [{ key: 'vmpool:max', from: '40', to: '60' }],
    warnings: [],
  };
  scale: Client['scale'] = (order) => this.#answer(`scale ${JSON.stringify(order)}`, this.configAnswer);
  changeConfig: Client['changeConfig'] = (order) =>
    this.#answer(`config ${JSON.stringify(order)}`, this.configAnswer);
  detail: MemberDetail | null = null;
  /** What a person answers; null: nobody is there. */
  said: boolean | null = null;
  question = '';
  told: EventView[] = [];
  account: UsageView = {
    ...{ since: '2026-11-01T00:00:00.000Z', until: '2026-11-28T00:00:00.000Z', by: ['user'], rows: [] },
    total: {
      ...{ keys: [], leases: 0, vmSeconds: 0, processorSeconds: 0, waitSeconds: 0 },
      ...{ longestWaitSeconds: 0, measured: 0, cpuSeconds: 0, jobProcessorSeconds: 0, mostMemoryBytes: 0 },
      ends: Object.fromEntries(jobEnds.map((end) => [end, 0])) as UsageView['total']['ends'],
    },
    isCut: false,
  };
  usage: Client['usage'] = (of) => this.#answer(`usage ${JSON.stringify(of)}`, this.account);
  written: HistoryEntry[] = [];
  member: Client['member'] = (name) =>
    this.detail === null
      ? Promise.reject(refusal('not-found', `There is no VM ${name} in this pool`))
      : this.#answer(`member ${name}`, this.detail);
  planned: PlanView = { now: '2026-11-23T10:00:00.000Z', pools: [], cells: [], strays: [] };
  plan: Client['plan'] = () => this.#answer('plan', this.planned);
  console: Client['console'] = (name) => this.#answer(`console ${name}`, { text: 'login:' });
  history: Client['history'] = (of) => this.#answer(`history ${JSON.stringify(of)}`, this.written);
  /** As the service does it: a number from before its start gives all. */
  events: Client['events'] = (after) => {
    const isFromBefore = after > (this.told.at(-1)?.id ?? 0);
    return this.#answer(
      `events ${String(after)}`,
      this.told.filter(({ id }) => isFromBefore || id > after),
    );
  };
  close(): void {
    this.closed = true;
  }
}

export const refusal = (code: string, detail: string): ProblemError =>
  new ProblemError({ type: `urn:vmpool:problem:${code}`, title: code, status: 409, detail });

export const unreachable = (): UnreachableError =>
  new UnreachableError('VM Pool at http://127.0.0.1:8470 cannot be reached: Error: connect ECONNREFUSED');

export interface Played {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly access: Access | null;
}

/** Runs one command line against a fake service. A token file is there unless the environment says otherwise. */
export const play = async (
  args: readonly string[],
  client = new FakeClient(),
  env: Readonly<Record<string, string | undefined>> = {},
  colour = false,
  stop = new AbortController().signal,
): Promise<Played> => {
  const directory = mkdtempSync(join(tmpdir(), 'vmpool-cli-'));
  const tokenFile = join(directory, 'token');
  writeFileSync(tokenFile, 'a-token-of-twenty-letters\n', { mode: 0o600 });
  const [out, err]: [string[], string[]] = [[], []];
  let access: Access | null = null;
  try {
    const code = await runCli(args, {
      terminal: {
        out: (text) => void out.push(`${text}\n`),
        err: (text) => void err.push(`${text}\n`),
        write: (text) => void out.push(text),
        interactive: false,
        paint: colour ? coloured : plain,
        size: () => ({ columns: 80, rows: 24 }),
        onResize: () => () => undefined,
      },
      env: { VMPOOL_TOKEN_FILE: tokenFile, ...env },
      confirm: (question) => {
        client.question = question;
        return Promise.resolve(client.said);
      },
      stop,
      connect: (wanted) => {
        access = wanted;
        return client;
      },
    });
    return { code, out: out.join(''), err: err.join(''), access };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
};
