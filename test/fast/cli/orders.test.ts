import { describe, expect, it } from '@jest/globals';
import { storyText } from '../../../src/cli/screens/story.js';
import { remoteCommand, sshArguments } from '../../../src/cli/ssh-into.js';
import { plain } from '../../../src/cli/terminal.js';
import { FakeClient, leaseAnswer, memberView, play, statusView } from './play.js';
import { entry, memberDetail } from './views.js';

describe('orders on VMs and on the pool', () => {
  it('hold takes a time after which it ends by itself', async () => {
    const client = new FakeClient();
    expect(await play(['hold', 'b-1', '--for', '8h', '-r', 'disk'], client)).toMatchObject({ code: 0 });
    expect(client.asked).toEqual(['hold b-1: disk for 28800 s']);
    expect((await play(['hold', 'b-1', '--for', '8'], client)).err).toContain('a time with its unit');
  });

  it.each([
    [['drain', 'b-1', '-r', 'host'], 'drain b-1: host'],
    [['undrain', 'b-1'], 'unhold b-1'],
    [['pause', '-r', 'audit', '--for', '10m'], 'pause audit 600'],
    [['pause'], 'pause ordered by an operator undefined'],
    [['resume'], 'resume'],
    [['kill', 'b-1', '--yes', '-r', 'hangs'], 'kill b-1: hangs'],
    [['console', 'b-1'], 'console b-1'],
  ])('%j asks the service for it', async (args, asked) => {
    const client = new FakeClient();
    expect((await play(args, client)).code).toBe(0);
    expect(client.asked).toEqual([asked]);
    expect(JSON.parse((await play([...args, '--json'], client)).out)).toBeInstanceOf(Object);
  });

  describe('kill', () => {
    const job = {
      id: '28.server',
      worker: 'node1',
      user: 'alice',
      lease: 'l',
      since: '2026-11-23T09:00:00Z',
    };
    const busy = (): FakeClient => {
      const client = new FakeClient();
      client.view = statusView({ members: [memberView('b-1', { state: 'Busy', job })] });
      return client;
    };
    it('does nothing when the person says no', async () => {
      const client = busy();
      client.said = false;
      expect(await play(['kill', 'b-1'], client)).toMatchObject({
        code: 1,
        err: 'vmpool: VM b-1 was left alone\n',
      });
      expect(client.asked).toEqual(['status']);
    });
    it('does nothing where nobody can be asked, and says how a script does it', async () => {
      const client = busy();
      expect(await play(['kill', 'b-1'], client)).toMatchObject({
        code: 2,
        err: expect.stringContaining('--yes'),
      });
      expect(client.asked).toEqual(['status']);
    });
    it('tells which job ends with it', async () => {
      const client = busy();
      client.said = true;
      expect((await play(['kill', 'b-1'], client)).code).toBe(0);
      expect(client.question).toBe('End VM b-1 now? Job 28.server of alice runs there and ends with it.');
      expect(client.asked).toEqual(['status', 'kill b-1: ordered by an operator']);
    });
  });
});

describe('vmpool ssh', () => {
  it('believes the host keys of the service alone, and no file of the user', () => {
    const target = {
      directory: '/d',
      host: '10.0.0.7',
      port: 22,
      hostKeys: [],
      user: 'admin',
      identity: '/key',
    };
    const shell = sshArguments(target, '/d/known', [], true);
    expect(shell.slice(0, 2)).toEqual(['-F', '/dev/null']);
    expect(shell).toEqual(
      expect.arrayContaining(['StrictHostKeyChecking=yes', 'UserKnownHostsFile=/d/known', '-t']),
    );
    expect(shell.slice(-2)).toEqual(['--', 'admin@10.0.0.7']);
    expect(sshArguments(target, '/d/known', ['ls', 'a b'], false).at(-1)).toBe(remoteCommand(['ls', 'a b']));
  });

  it('goes nowhere while there is no address or no host key', async () => {
    const client = new FakeClient();
    client.detail = memberDetail({
      ssh: null,
      member: memberView('b-1', { state: 'Unusable', reason: 'building' }),
    });
    expect((await play(['ssh', 'b-1'], client)).err).toContain('b-1 has no address yet: it is building');
    client.detail = memberDetail({ ssh: { host: '10.0.0.7', port: 22, hostKeys: [] } });
    expect(await play(['ssh', 'b-1'], client)).toMatchObject({
      code: 1,
      err: expect.stringContaining('not known yet'),
    });
  });
});

describe('vmpool why', () => {
  const told = { job: '28.server', lease: 'l1', user: 'alice' };
  const history = [
    entry({ ...told, at: '2026-11-23T09:00:00.000Z', kind: 'request', detail: 'asked by node1, start 1' }),
    entry({
      ...told,
      at: '2026-11-23T09:00:03.200Z',
      kind: 'lease',
      vm: 'b-1',
      ms: 3_200,
      detail: 'granted after 3200 ms',
    }),
    entry({
      lease: 'l1',
      at: '2026-11-23T09:00:04.000Z',
      kind: 'staged',
      vm: 'b-1',
      ms: 800,
      detail: 'ready',
    }),
    entry({ ...told, at: '2026-11-23T09:12:03.200Z', kind: 'lease-ended', vm: 'b-1', detail: 'job ended' }),
    entry({
      ...told,
      lease: 'l2',
      at: '2026-11-23T09:30:00.000Z',
      kind: 'request',
      detail: 'asked by node1, start 2',
    }),
  ];
  const now = Date.parse('2026-11-23T10:00:00Z');
  const { capability: _, ...view } = leaseAnswer({
    id: 'l2',
    state: 'waiting',
    position: 3,
    job: '28.server',
  });
  const waits = { ...view, askedAt: '2026-11-23T09:30:00.000Z', detail: 'all 6 VMs of the pool are taken' };

  it('tells each start with its times, and what the living one waits for', () => {
    const lines = storyText('28', history, [waits], now, plain, 80).split('\n');
    expect(lines[0]).toMatch(/^Job 28\.server of alice, asked 2026-11-23 \d\d:\d\d:00$/);
    expect(lines[1]).toBe('  waited 3.2 s, VM ready 0.8 s later, had b-1 for 12 min, ended: job ended');
    expect(lines[3]).toBe('   +3.2 s  lease          b-1: granted after 3200 ms');
    expect(lines[7]).toMatch(/^Job 28\.server of alice/);
    expect(lines[8]).toBe('  waits for 30 min, place 3: all 6 VMs of the pool are taken');
    const limited = storyText('28', history, [{ ...waits, maxWaitSeconds: 3_600 }], now, plain, 80);
    expect(limited).toContain('  waits for 30 min of 60 min at most, place 3: all 6 VMs');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  it('tells what a job that runs has used so far', () => {
    const usage = { at: '2026-11-23T09:59:30.000Z', cpuSeconds: 61.2, memoryBytes: 5e6, wallSeconds: 40 };
    const runs = { ...waits, ...{ id: 'l1', state: 'granted' as const, ready: true, usage } };
    const lines = storyText('28', history.slice(0, 3), [runs], now, plain, 80).split('\n');
    expect(lines.slice(1, 4)).toEqual([
      '  waited 3.2 s, VM ready 0.8 s later, had b-1 for 60 min, runs',
      '  has used 61 s of CPU time in 40 s, 5 MiB at most, as of 30s ago',
      expect.stringMatching(/^ +\+0\.0 s {2}request/),
    ]);
  });

  it('of one that ended while it waited, and of one whose end is not known', () => {
    const [first] = history;
    if (first === undefined) throw new Error('no history');
    const ended = entry({
      ...told,
      kind: 'request-ended',
      ms: 5_000,
      detail: 'its worker no longer asks for it',
    });
    expect(storyText('28', [first, ended], [], now, plain, 200)).toContain(
      'waited 5.0 s in vain, ended: its worker no longer asks for it',
    );
    expect(storyText('28', history.slice(0, 3), [], now, plain, 200)).toContain(
      'its end is not in the history',
    );
  });

  it('says where to look for a job that the pool does not know', async () => {
    expect(await play(['why', '99'])).toMatchObject({ code: 1, err: expect.stringContaining('qstat -f 99') });
    const client = new FakeClient();
    client.written = history;
    expect((await play(['why', '28'], client)).out).toContain('had b-1 for 12 min');
    expect(client.asked).toEqual(['history {"job":"28","most":2000}', 'status']);
  });
});
