import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { FakeClient, leaseAnswer, play, refusal, unreachable } from './play.js';

describe('the command line', () => {
  let directory: string;
  const file = (name: string, text: string, mode = 0o600): string => {
    const path = join(directory, name);
    writeFileSync(path, text, { mode });
    return path;
  };
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'vmpool-cli-test-'));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it('prints help and version with 0, and names every command', async () => {
    const help = await play(['--help']);
    expect(help.code).toBe(0);
    for (const name of [
      'serve',
      'status',
      'top',
      'ssh',
      'console',
      'resume',
      'pause',
      'kill',
      'undrain',
      'drain',
      'why',
      'usage',
      'vms',
      'vm',
      'leases',
      'requests',
      'events',
      'check',
      'hold',
      'unhold',
      'retire',
      'adopt',
      'scale',
      'apply',
      'request',
      'release',
      'run',
      'plan',
      'audit',
      'env',
      'doctor',
      'recover',
      'token',
      'backup',
      'restore',
      'hooks',
      'demo',
    ]) {
      expect(help.out).toMatch(new RegExp(`^ {2}${name}\\b`, 'm'));
    }
    expect(help.out).toContain('Exit codes');
    const version = await play(['--version']);
    expect(version).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  });

  it.each([
    [['statis'], "unknown command 'statis'"],
    [['status', '--jsn'], "unknown option '--jsn'"],
    [['scale'], 'give at least one of --min, --max and --spare'],
    [['scale', '--max', '-1'], 'give a whole number, 0 or more'],
    [['hold'], "missing required argument 'vm'"],
    [['request'], "required option '-k, --key <file>'"],
    [['request', '--key', 'k', '--wait', 'long'], 'give whole seconds'],
    [['release'], 'give either the id of a lease or --job'],
    [['release', 'x', '--job', 'y'], 'give either the id of a lease or --job'],
    [['recover'], 'give either --from-backup or --from-cloud'],
    [['recover', '--from-backup', '--installation', 'x'], '--installation goes with --from-cloud'],
    [['backup'], 'give either a target or --verify FILE'],
    [['backup', '/tmp', '--verify', 'x'], 'give either a target or --verify FILE'],
    [['backup', '/tmp', '--keep', '0'], 'give a whole number, 1 or more'],
    [['restore'], "missing required argument 'file'"],
    [['status', '--url', 'ftp://here'], 'ftp://here is not an address of the service'],
    [['hooks', 'install', '--schedule', 'never'], 'Allowed choices are cron, systemd, none'],
    [['run'], "missing required argument 'command'"],
  ])('wrong arguments %j: 2, and says what is wrong', async (args, sentence) => {
    const client = new FakeClient();
    const { code, err } = await play(args, client);
    expect(err).toContain(sentence);
    expect(code).toBe(2);
    expect(client.asked).toEqual([]);
  });

  it('an unreachable service: 3, with what to look at', async () => {
    const client = new FakeClient();
    client.failure = unreachable();
    const { code, err } = await play(['status'], client);
    expect(code).toBe(3);
    expect(err).toContain('cannot be reached');
    expect(err).toContain('VMPOOL_URL');
    expect(client.closed).toBe(true);
  });

  it('a refusal: 4, in the words of the service', async () => {
    const client = new FakeClient();
    client.failure = refusal('conflict', 'batch-0001 is not held');
    const { code, err } = await play(['unhold', 'batch-0001'], client);
    expect(code).toBe(4);
    expect(err).toBe('vmpool: the service refused: batch-0001 is not held\n');
  });

  it('takes address, token and CA from options first, then from the environment', async () => {
    const token = file('mine', 'another-token-of-letters');
    const ca = file('ca.pem', 'PEM');
    const env = { VMPOOL_URL: 'http://pool:1', VMPOOL_CA: ca };
    expect((await play(['status'], undefined, env)).access).toEqual({
      url: 'http://pool:1',
      token: 'a-token-of-twenty-letters',
      ca: 'PEM',
    });
    const given = await play(['status', '--url', 'https://other:2', '--token-file', token], undefined, env);
    expect(given.access).toMatchObject({ url: 'https://other:2', token: 'another-token-of-letters' });
    expect((await play(['status'])).access).toEqual({
      url: 'http://127.0.0.1:8470',
      token: 'a-token-of-twenty-letters',
    });
  });

  it('without a usable token: 2, and says how to give one', async () => {
    const none = await play(['status'], undefined, { VMPOOL_TOKEN_FILE: undefined });
    expect(none).toMatchObject({ code: 2, err: expect.stringContaining('--token-file') });
    const open = await play(['status', '--token-file', file('open', 'x'.repeat(30), 0o644)]);
    expect(open).toMatchObject({ code: 2, err: expect.stringContaining('chmod o-rwx') });
  });

  it('orders on a VM pass the reason on and print what the service says', async () => {
    const client = new FakeClient();
    expect(await play(['hold', 'batch-1', '--reason', 'disk'], client)).toMatchObject({
      code: 0,
      out: 'batch-1 is held\n',
    });
    expect((await play(['retire', 'batch-1', '--json'], client)).out).toBe(
      '{"detail":"batch-1 is being retired"}\n',
    );
    await play(['unhold', 'batch-1'], client);
    await play(['adopt'], client);
    expect(client.asked).toEqual([
      'hold batch-1: disk',
      'retire batch-1: ordered by an operator',
      'unhold batch-1',
      'adopt',
    ]);
  });

  it('request: waits, tells why, prints how to get there and how to give it back', async () => {
    const key = file('key.pub', 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me@here\n');
    const client = new FakeClient();
    client.leases = [
      leaseAnswer({ state: 'waiting', ready: false, vm: null, detail: 'no VM is free; 1 being built' }),
      leaseAnswer(),
    ];
    const { code, out, err } = await play(['request', '--key', key, '--job', 'mine'], client);
    expect(code).toBe(0);
    expect(err).toBe('no VM is free; 1 being built\n');
    expect(out).toContain('ssh -p 22 alice@10.0.0.7');
    expect(out).toContain('vmpool release f00d');
    expect(client.asked).toEqual([`request mine ${userInfo().username} ssh-ed25519`, 'lease f00d']);
  });

  it('request: 1 when there is no VM in time, with how to give the place up', async () => {
    const key = file('key.pub', 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me@here\n');
    const client = new FakeClient();
    client.leases = [
      leaseAnswer({ state: 'waiting', ready: false, vm: null, detail: 'all 6 VMs are taken' }),
    ];
    const { code, out } = await play(['request', '--key', key, '--wait', '0'], client);
    expect(code).toBe(1);
    expect(out).toMatch(/still waits: all 6 VMs are taken\.\n.*vmpool release f00d/);
  });

  it('request: refuses what is no public key before it asks', async () => {
    const client = new FakeClient();
    const { code, err } = await play(['request', '--key', file('private', '-----BEGIN')], client);
    expect(code).toBe(2);
    expect(err).toContain('is not one line of an OpenSSH public key');
    expect((await play(['request', '--key', '/no/such/file'], client)).code).toBe(2);
    expect((await play(['request', '--key', 'x', '--user', 'no-such-user-here'], client)).err).toContain(
      'there is no account no-such-user-here',
    );
    expect(client.asked).toEqual([]);
  });

  it('release: by lease, or by job', async () => {
    const client = new FakeClient();
    expect((await play(['release', 'f00d'], client)).out).toBe('Ended: released.\n');
    expect((await play(['release', '--job', '28.server'], client)).out).toBe(
      'There was nothing to end: unknown job.\n',
    );
    expect(client.asked).toEqual(['releaseLease f00d', 'release 28.server']);
  });

  it('run: 125 and the reason when there is no VM to be had; what was asked for is given back', async () => {
    const client = new FakeClient();
    client.leases = [leaseAnswer({ state: 'ended', ready: false, vm: null, detail: 'too many processors' })];
    const { code, err } = await play(['run', '--', 'true'], client);
    expect(code).toBe(125);
    expect(err).toBe('vmpool: there is no VM to be had: too many processors\n');
    expect(client.asked.map((call) => call.split(' ')[0])).toEqual(['request', 'release']);
    expect(client.asked[0]).toMatch(/ within 600 s$/);
    expect(client.closed).toBe(true);
  });

  it('serve: names every error of the configuration at once, and exits with 2', async () => {
    const config = file('bad.yaml', 'pool: Bad\nlisten: {port: 99999}\nnonsense: 1\n');
    const { code, err } = await play(['serve', '--config', config]);
    expect(code).toBe(2);
    for (const part of [
      'bad.yaml:1: pool:',
      'bad.yaml:2: listen.port:',
      'bad.yaml:3: nonsense:',
      'auth:',
      'guest:',
    ]) {
      expect(err).toContain(part);
    }
  });

  it('check: an unreadable configuration is one finding, and it goes on', async () => {
    const { code, out } = await play(['check', '--config', join(directory, 'none.yaml'), '--json']);
    const { ok, findings } = JSON.parse(out) as { ok: boolean; findings: { what: string; result: string }[] };
    expect(code).toBe(1);
    expect(ok).toBe(false);
    expect(findings[0]).toMatchObject({ what: 'config', result: 'fail' });
    expect(findings.map(({ what }) => what)).toEqual(expect.arrayContaining(['engine', 'hooks']));
  });

  it('recover: 1 and what else can be done when there is no good copy', async () => {
    file('pass', 'x'.repeat(30));
    file('admin', 'key');
    file('tok', 't'.repeat(30));
    mkdirSync(join(directory, 'state'));
    const config = file(
      'good.yaml',
      'pool: batch\nstateDir: state\nauth: {tokens: [{name: n, role: operator, tokenFile: tok}]}\nengine: {passphraseFile: pass}\nguest: {privateKeyFile: admin}\n',
    );
    const { code, err } = await play(['recover', '--from-backup', '--config', config]);
    expect(code).toBe(1);
    expect(err).toContain('--from-cloud');
  });
});
