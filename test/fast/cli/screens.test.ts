import { describe, expect, it } from '@jest/globals';
import { fitted } from '../../../src/cli/fitted.js';
import { followEvents } from '../../../src/cli/follow.js';
import { eventLine } from '../../../src/cli/screens/events.js';
import { leasesText, requestsText } from '../../../src/cli/screens/leases.js';
import { memberText } from '../../../src/cli/screens/member.js';
import { byUrgency, vmsText } from '../../../src/cli/screens/vms.js';
import { statusText } from '../../../src/cli/status-text.js';
import { age, cut } from '../../../src/cli/table.js';
import { bare, coloured, plain } from '../../../src/cli/terminal.js';
import type { EventView, LeaseView } from '../../../src/http/api.js';
import { FakeClient, leaseAnswer, memberView, play, refusal, statusView, unreachable } from './play.js';
import { entry, event, memberDetail } from './views.js';

const now = Date.parse('2026-11-23T10:00:00Z');
const job = { id: '28[0].server', worker: 'node1', user: 'alice', lease: 'l', since: '2026-11-23T09:00:00Z' };
const sample = [
  memberView('batch-0001-abcd'),
  memberView('batch-0002-abcd', { state: 'Busy', job }),
  memberView('batch-0003-abcd', {
    state: 'Unusable',
    reason: 'building',
    detail: 'decided, not yet seen by Nova',
  }),
  memberView('batch-0004-abcd', { state: 'Busy', job, detail: 'does not answer: time-out' }),
  memberView('batch-0005-abcd', { state: 'Unusable', reason: 'held', detail: 'disk is full' }),
  memberView('batch-0006-abcd', {
    state: 'Unusable',
    reason: 'error',
    detail: 'No valid host was found',
    probe: { at: '2026-11-23T09:59:00Z', failures: 3 },
  }),
];
const lines = (text: string): string[] => text.split('\n');
const widest = (text: string): number => Math.max(...lines(text).map((line) => bare(line).length));

describe('vmpool vms', () => {
  it('shows what wants a person first', () => {
    expect(byUrgency(sample).map(({ name }) => Number(name.slice(6, 10)))).toEqual([6, 5, 4, 3, 2, 1]);
    expect(byUrgency([...sample].reverse())).toEqual(byUrgency(sample));
  });

  it('whole where width does not matter', () => {
    expect(vmsText(byUrgency(sample).slice(0, 2), now, plain, Infinity)).toBe(
      `VM               STATE  FOR  AGE  JOB  USER  ADDRESS   CELL  PROBED  REMARKS
batch-0006-abcd  error   5s  60m  -    -     10.0.0.7  c001     60s  No valid host was found; 3 probes failed
batch-0005-abcd  held    5s  60m  -    -     10.0.0.7  c001       -  disk is full`,
    );
  });

  it('with whole names while there is room for them: a name is what commands take', () => {
    const vms = sample.map((vm, at) => ({ ...vm, name: `a-rather-long-pool-000${String(at)}-k3f9` }));
    const text = vmsText(vms, now, plain, 60);
    for (const { name } of vms) expect(text).toContain(name);
  });

  it.each([200, 120, 80, 60, 40, 20, 5])('keeps to %d columns, painted or not, a row a line', (width) => {
    const many = Array.from({ length: 200 }, (_, at) => ({
      ...sample[at % 6],
      name: `batch-${String(at)}-abcd`,
    }));
    const vms = many as typeof sample;
    const text = vmsText(vms, now, plain, width);
    expect(widest(text)).toBeLessThanOrEqual(width);
    expect(lines(text)).toHaveLength(201);
    expect(bare(vmsText(vms, now, coloured, width))).toBe(text);
  });

  it('one state only, as JSON and for people', async () => {
    const client = new FakeClient();
    client.view = statusView({
      members: sample,
      counts: { free: 1, busy: 2, unusable: 3, waiting: 0, leases: 2 },
    });
    const { out } = await play(['vms', '--state', 'HELD', '--json'], client);
    expect(JSON.parse(out)).toMatchObject({ members: [{ name: 'batch-0005-abcd' }] });
    const { out: text } = await play(['vms', '-s', 'lost'], client);
    expect(text).toBe('batch: 6 VMs of at most 6; 1 Free, 2 Busy, 3 Unusable\n\nNo VM is lost.\n');
    expect((await play(['vms', '-s', 'gone'], client)).code).toBe(2);
  });

  it('nothing that a job wrote moves the cursor or makes a line of its own', () => {
    const [bad = ''] = lines(
      vmsText([memberView('a', { detail: 'x\u001b[2Jy\nz' })], now, plain, Infinity),
    ).slice(1);
    expect(bad).toContain('x\\u001b[2Jy | z');
  });
});

describe('vmpool leases and requests', () => {
  const { capability: _, ...view } = leaseAnswer({
    id: 'f'.repeat(32),
    user: 'alice',
    queue: 'long',
    job: '1.server',
  });
  const leases: LeaseView[] = [
    { ...view, grantedAt: '2026-11-23T09:00:00Z', askedAt: '2026-11-23T08:59:57Z' },
    { ...view, job: '2.server', ready: false, grantedAt: '2026-11-23T09:59:59Z' },
  ];
  it('leases: what is not ready first', () => {
    expect(leasesText(leases, now, plain, 80)).toBe(
      `JOB       USER   QUEUE  WORKER  VM               STATE    FOR  WAITED
2.server  alice  long   node1   batch-0001-abcd  staging   1s   0.0 s
1.server  alice  long   node1   batch-0001-abcd  running  60m   3.0 s`,
    );
  });
  it('requests: the next first, with what each waits for', () => {
    const waits: LeaseView = { ...view, state: 'waiting', vm: null, grantedAt: null, position: 2 };
    const text = requestsText(
      [waits, { ...waits, position: 1, detail: 'all 6 VMs of the pool are taken' }],
      now,
      plain,
      80,
    );
    expect(lines(text)[1]).toMatch(
      /^ +1 +1\.server +alice +long +node1 +0s +all 6 VMs of the pool are taken$/,
    );
    expect(widest(text)).toBeLessThanOrEqual(80);
  });
  it('requests: how long each may wait, where its worker says so', () => {
    const waits: LeaseView = { ...view, state: 'waiting', vm: null, grantedAt: null, position: 1 };
    const told = [
      { ...waits, maxWaitSeconds: 3_600 },
      { ...waits, position: 2 },
    ];
    const late = now + 150_000;
    const text = lines(requestsText(told, late, plain, Infinity));
    expect(text[0]).toMatch(/WAITS +AT MOST +FOR/);
    expect(text[1]).toMatch(/ 2m +60m +ready on/);
    expect(text[2]).toMatch(/ 2m +- +ready on/);
    expect(requestsText([waits], late, plain, Infinity)).not.toContain('AT MOST');
    const view2 = statusView({ requests: told, now: new Date(late).toISOString() });
    expect(statusText(view2, plain)).toMatch(/1\.server +node1 +3 min of 60 min +ready/);
    expect(statusText(view2, plain)).toMatch(/1\.server +node1 +3 min +ready/);
  });
  it('say in a sentence that there is none', async () => {
    expect((await play(['leases'])).out).toBe('No job has a VM.\n');
    expect((await play(['requests'])).out).toBe('No request waits; 0 VMs are Free.\n');
    expect((await play(['requests', '--json'])).out).toBe('{\n  "requests": []\n}\n');
  });
});

describe('vmpool events', () => {
  it('a line each, cut at the width', () => {
    const told = event(1, {
      kind: 'lease',
      vm: 'batch-1',
      job: '1',
      user: 'alice',
      detail: 'granted\nafter 5 ms',
    });
    expect(eventLine(told, plain, Infinity)).toMatch(
      /^\d\d:\d\d:\d\d lease {9}batch-1 job 1 of alice: granted \| after 5 ms$/,
    );
    expect(bare(eventLine(told, coloured, 40))).toHaveLength(40);
  });

  it('the last ones, of one job or VM, JSON a line each', async () => {
    const client = new FakeClient();
    client.told = [event(1, { job: '28.server' }), event(2, { job: '280.server' }), event(3, { vm: 'a' })];
    const { out } = await play(['events', '--json', '--job', '28'], client);
    expect(lines(out.trim()).map((line) => (JSON.parse(line) as EventView).id)).toEqual([1]);
    expect(lines((await play(['events', '-n', '2', '--json'], client)).out.trim())).toHaveLength(2);
    client.written = [entry({ vm: 'gone', detail: 'gone: deleted' })];
    expect((await play(['events', '--history', '--vm', 'gone'], client)).out).toContain('gone: deleted');
    expect(client.asked.at(-1)).toBe('history {"vm":"gone","most":50}');
    expect((await play(['events', '--history', '--follow'], client)).code).toBe(2);
  });

  it('only the decisions, or those of one kind', async () => {
    const client = new FakeClient();
    client.told = [
      event(1),
      event(2, { decision: 'made', reason: 'spare' }),
      event(3, { decision: 'ended', reason: 'idle' }),
    ];
    const ids = async (kind: string): Promise<number[]> => {
      const { out } = await play(['events', '--json', '--decision', kind], client);
      return lines(out.trim()).map((line) => (JSON.parse(line) as EventView).id);
    };
    expect(await ids('any')).toEqual([2, 3]);
    expect(await ids('ended')).toEqual([3]);
    await play(['events', '--history', '--decision', 'leased'], client);
    expect(client.asked.at(-1)).toBe('history {"decision":"leased","most":50}');
    expect((await play(['events', '--decision', 'thrown'], client)).code).toBe(2);
  });

  it('--follow tells each once and waits for a service that restarts', async () => {
    const stop = new AbortController();
    const answers: (EventView[] | Error)[] = [
      [event(1), event(2)],
      unreachable(),
      unreachable(),
      [event(1, { detail: 'after the restart' })],
    ];
    const [told, warned, asked]: [string[], string[], number[]] = [[], [], []];
    const events = (after: number): Promise<EventView[]> => {
      asked.push(after);
      const next = answers.shift();
      if (answers.length === 0) stop.abort();
      return next instanceof Error ? Promise.reject(next) : Promise.resolve(next ?? []);
    };
    const tell = (list: readonly EventView[]): void => void told.push(...list.map(({ detail }) => detail));
    await followEvents({ events }, tell, (text) => void warned.push(text), stop.signal, 1);
    expect(told).toEqual(['event 1', 'event 2', 'after the restart']);
    expect(asked).toEqual([0, 2, 2, 2]);
    expect(warned).toEqual([expect.stringContaining('cannot be reached'), 'The service answers again.']);
  });

  it('--follow says at once that nothing can be reached', async () => {
    const client = new FakeClient();
    client.failure = unreachable();
    expect((await play(['events', '--follow'], client)).code).toBe(3);
  });
});

describe('vmpool vm show', () => {
  const detail = memberDetail({
    member: memberView('batch-0002-abcd', { state: 'Busy', job, serverId: 'a-server' }),
    hold: { kind: 'operator', why: 'to look', at: '2026-11-23T09:59:55Z', limitMs: 7_200_000 },
  });
  const history = [
    entry({ vm: 'batch-0002-abcd', from: 'building', to: 'Free', detail: 'building -> Free: welcomed' }),
    entry({ vm: 'batch-0002-abcd', kind: 'console', detail: 'Kernel panic\u001b[2J\nmore' }),
  ];
  it('tells what it is, what runs there, how it answers and what became of it', () => {
    const text = memberText(detail, history, null, now, plain, 80);
    expect(text).toContain('batch-0002-abcd: Busy for 5s');
    expect(text).toMatch(/held +operator: to look, given back after 2.0 h \(when its job ends\)/);
    expect(text).toContain('building -> Free: welcomed');
    expect(text).toMatch(/made for +not known: an earlier version made it/);
    const made = { reason: 'request', detail: 'job 28 waits for a VM' };
    expect(memberText({ ...detail, made }, history, null, now, plain, 80)).toMatch(
      /made for +request: job 28 waits for a VM/,
    );
    expect(text).toContain('Kernel panic\\u001b[2J\n  more');
    expect(text).not.toMatch(/^ +used/m);
    expect(widest(text)).toBeLessThanOrEqual(80);
    expect(memberText(detail, history, 'login:', now, plain, 80)).toContain('Console\n  login:');
  });
  it('tells what its job has used so far', () => {
    const usage = {
      at: '2026-11-23T09:59:30.000Z',
      cpuSeconds: 7200,
      memoryBytes: 2 ** 31,
      wallSeconds: 4000,
    };
    const { capability: _, ...lease } = leaseAnswer({ id: 'l1', state: 'granted', ready: true });
    const text = memberText({ ...detail, lease: { ...lease, usage } }, history, null, now, plain, 80);
    expect(text).toMatch(/^ +used +2.0 h of CPU time in 67 min, 2048 MiB at most, as of 30s ago$/m);
  });
  it('asks for the console only when told so, and prints all as JSON', async () => {
    const client = new FakeClient();
    client.detail = detail;
    client.written = history;
    expect(JSON.parse((await play(['vm', 'show', 'x', '--json'], client)).out)).toMatchObject({
      stack: 'batch-c001',
      history: [{ to: 'Free' }, { kind: 'console' }],
      console: null,
    });
    expect((await play(['vm', 'show', 'x', '--console'], client)).out).toContain('login:');
  });
  it('of one that is gone says where its story is; of one that never was, where to look', async () => {
    const client = new FakeClient();
    client.written = history;
    const gone = await play(['vm', 'show', 'batch-0002-abcd'], client);
    expect(gone).toMatchObject({
      code: 4,
      err: expect.stringContaining('events --history --vm batch-0002-abcd'),
    });
    client.written = [];
    expect((await play(['vm', 'show', 'x'], client)).err).toContain('vmpool vms names those there are');
    client.failure = refusal('forbidden', 'no');
    client.detail = detail;
    expect((await play(['vm', 'show', 'x'], client)).err).toContain('refused: no');
  });
});

describe('tables and ages', () => {
  it.each([
    [0, '0s'],
    [119_999, '119s'],
    [120_000, '2m'],
    [7_199_999, '119m'],
    [7_200_000, '2h'],
    [172_800_000, '2d'],
    [-1, '0s'],
  ])('%d ms is %s', (ms, text) => expect(age(ms)).toBe(text));

  it('cut keeps the paint of a cell', () => {
    expect(cut(coloured('red', 'abcdef'), 4)).toBe(coloured('red', 'abc…'));
  });

  it('cuts what may be cut, then leaves out what may be left out', () => {
    const columns = [
      { title: 'A', least: 3 },
      { title: 'B', drop: 1 },
    ];
    const rows = [['abcdefgh', '12345678']];
    expect(fitted(columns, rows, plain, 18)).toBe('A         B\nabcdefgh  12345678');
    expect(fitted(columns, rows, plain, 14)).toBe('A     B\nabc…  12345678');
    expect(fitted(columns, rows, plain, 8)).toBe('A\nabcdefgh');
  });
});
