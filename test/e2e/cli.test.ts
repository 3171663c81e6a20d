import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repoRoot } from '../../src/repo-root.js';
import type { StatusView } from '../../src/http/api.js';
import { withAccount } from '../support/accounts.js';
import type { ServiceProcess } from '../support/service-process.js';
import { startServiceProcess } from '../support/service-process.js';
import type { EmbeddedSite } from '../support/site.js';
import { eventually, openSite } from '../support/site.js';

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

describe('vmpool as its users call it', () => {
  let site: EmbeddedSite;
  let service: ServiceProcess;
  let account: readonly string[];

  const start = (role: 'worker' | 'operator', args: readonly string[]): ChildProcess =>
    spawn(
      account[0] ?? '',
      [...account.slice(1), process.execPath, join(repoRoot, 'dist/src/cli/main.js'), ...args],
      {
        env: {
          ...process.env,
          ...site.env,
          HOME: process.env['HOME'],
          VMPOOL_URL: service.url,
          VMPOOL_TOKEN_FILE: join(site.directory, `${role}.token`),
          VMPOOL_CONFIG: site.configFile,
        },
        stdio: ['pipe', 'pipe', 'pipe'],
      },
    );
  const ended = (child: ChildProcess, input = ''): Promise<Ran> => {
    const [out, err]: [string[], string[]] = [[], []];
    child.stdout?.on('data', (part: Buffer) => out.push(part.toString()));
    child.stderr?.on('data', (part: Buffer) => err.push(part.toString()));
    child.stdin?.end(input);
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve({ code, out: out.join(''), err: err.join('') }));
    });
  };
  const vmpool = (role: 'worker' | 'operator', ...args: string[]): Promise<Ran> => ended(start(role, args));
  const status = async (): Promise<StatusView> =>
    JSON.parse((await vmpool('operator', 'status', '--json')).out) as StatusView;
  const quiet = (): Promise<StatusView> =>
    eventually('one Free VM and nothing else', 90_000, async () => {
      const view = await status();
      return view.counts.free === 1 && view.members.length === 1 && view.counts.leases === 0 ? view : false;
    });

  beforeAll(async () => {
    site = await openSite({ subnet: '127.92.0.0/16', shape: { min: 1, max: 2 } });
    account = withAccount(site.directory, 'dora', 58221);
    await site.shape({});
    chmodSync(site.config.stateDir, 0o700);
    service = await startServiceProcess(site);
    await quiet();
  }, 180_000);
  afterAll(async () => {
    expect(await service.stop()).toBe(0);
    await site.close();
  }, 120_000);

  it('status: the pool, its VM and no problems', async () => {
    const { code, out } = await vmpool('operator', 'status');
    expect(code).toBe(0);
    expect(out).toMatch(/^Pool site: 1 Free, 0 Busy, 0 Unusable; no request waits\nmin 1, max 2, spare 0/);
    expect(out).toMatch(/site-0001-\w{4} +Free/);
    expect(out).not.toContain('problem');
  });

  it('check: everything is in order, the guest image included', async () => {
    const { code, out } = await vmpool('operator', 'check');
    expect(out).not.toContain('FAIL');
    for (const what of [
      'store',
      'engine',
      'backend',
      'credentials',
      'flavor',
      'image',
      'quota',
      'admin key',
      'guest',
    ]) {
      expect(out).toMatch(new RegExp(`^ok {4}${what} `, 'm'));
    }
    expect(code).toBe(0);
  }, 60_000);

  it('check: names what is wrong, goes on, and exits with 1', async () => {
    await site.control.setQuotas({ instances: 1 });
    await site.control.setImage('debian-vm', 'deactivated');
    const { code, out } = await vmpool('operator', 'check', '--json');
    await site.control.setQuotas({ instances: 20 });
    await site.control.setImage('debian-vm', 'active');
    const { findings } = JSON.parse(out) as { findings: { what: string; result: string; text: string }[] };
    expect(code).toBe(1);
    // The running service refuses such an image too, if it has looked in the meantime.
    const failed = findings.filter(({ result, what }) => result === 'fail' && what !== 'service');
    expect(failed.map(({ what }) => what)).toEqual(['image', 'quota']);
    expect(failed[1]?.text).toContain('lower vmpool:max');
  }, 60_000);

  it('run: input, output, exit code and arguments pass through, and the VM comes back', async () => {
    const script = 'cat; echo "$# $2"; id -un; echo told >&2; exit 7';
    const child = start('worker', ['run', '--user', 'dora', '--', 'bash', '-c', script, 'x', 'a', 'b  c']);
    const ran = await ended(child, 'typed\n');
    expect(ran.out).toBe('typed\n2 b  c\ndora\n');
    expect(ran.err).toContain('told\n');
    expect(ran.code).toBe(7);
    await quiet();
    const { out } = await vmpool('operator', 'usage', '--user', 'dora', '--json');
    const { total } = JSON.parse(out) as { total: { ends: Record<string, number> } };
    expect(total.ends['failed']).toBeGreaterThanOrEqual(1);
  }, 120_000);

  it('run: Ctrl-C ends the command and gives the VM back', async () => {
    const child = start('worker', ['run', '--user', 'dora', '--', 'echo began; sleep 300']);
    let seen = '';
    child.stdout?.on('data', (part: Buffer) => (seen += part.toString()));
    await eventually('its begin', 60_000, () => seen.includes('began'));
    child.kill('SIGINT');
    const { code } = await ended(child);
    expect(code).toBe(130);
    await quiet();
  }, 120_000);

  it('run: says what is wrong and exits with 125 when there can be no VM', async () => {
    const { code, err } = await vmpool('worker', 'run', '--user', 'root', '--', 'true');
    expect(err).toMatch(/vmpool: .*root/);
    expect(code).toBe(125);
  }, 60_000);

  it('request and release by hand', async () => {
    const key = join(site.directory, 'admin.pub');
    const asked = await vmpool('worker', 'request', '--user', 'dora', '--key', key, '--json');
    expect(asked.code).toBe(0);
    const lease = JSON.parse(asked.out) as { id: string; ready: boolean; vm: { user: string } };
    expect(lease).toMatchObject({ ready: true, vm: { user: 'dora' } });
    const busy = await vmpool('operator', 'status');
    expect(busy.out).toMatch(/Busy .*hand-\d+-\w+\.vmpool +dora/);
    expect((await vmpool('worker', 'release', lease.id)).out).toMatch(/^Ended: /);
    expect((await vmpool('worker', 'release', lease.id)).out).toMatch(/^There was nothing to end/);
    await quiet();
  }, 120_000);

  it('hold and unhold; the status says how to give it back; a worker may not', async () => {
    const name = (await quiet()).members[0]?.name ?? '';
    expect(await vmpool('worker', 'hold', name)).toMatchObject({
      code: 4,
      err: expect.stringContaining('refused'),
    });
    expect((await vmpool('operator', 'hold', name, '--reason', 'to look at')).out).toBe(`${name} is held\n`);
    expect((await vmpool('operator', 'status')).out).toContain(`vmpool unhold ${name} gives it back`);
    expect((await vmpool('operator', 'unhold', name)).code).toBe(0);
    await quiet();
    const audit = await vmpool('operator', 'events', '--history', '--decision', 'any');
    expect(audit.out).toMatch(new RegExp(`order +${name}: hold, ordered by \\w+: to look at$`, 'm'));
    expect(audit.out).toMatch(new RegExp(`order +${name}: unhold, ordered by \\w+$`, 'm'));
    expect(await vmpool('operator', 'hold', 'nobody')).toMatchObject({ code: 4 });
  }, 120_000);

  it('plan: no change; the same by the plain command line with what env prints', async () => {
    const plan = await vmpool('operator', 'plan');
    expect(plan.out).toMatch(/^no change {2}site-c001 \(/m);
    expect(plan.code).toBe(0);
    // A worker may not know what the service has in mind: the previews alone.
    const alone = await vmpool('worker', 'plan');
    expect(alone.out).toMatch(
      /^no change {2}site-c001 \(.*\nWhat the service has in mind, and why, is not known: /m,
    );
    expect(alone.code).toBe(0);
    const env = await vmpool('operator', 'env', 'c001', '--json');
    const { arguments: args, stacks } = JSON.parse(env.out) as { arguments: string[]; stacks: string[] };
    expect(stacks).toContain('site-c001');
    expect(args.slice(0, 2)).toEqual(['--stack', 'site-c001']);
    expect((await vmpool('operator', 'env')).out).toMatch(/^export PULUMI_BACKEND_URL='file:\/\//m);
  }, 120_000);

  it('plan while changes are paused: what is done after that, each VM with its reason', async () => {
    const [vm] = (await quiet()).members;
    expect((await vmpool('operator', 'pause', '--reason', 'audit')).code).toBe(0);
    expect((await vmpool('operator', 'retire', vm?.name ?? '', '--reason', 'odd disk')).code).toBe(0);
    const plan = await vmpool('operator', 'plan');
    expect(plan.code).toBe(1);
    expect(plan.out).toMatch(/^changes are paused until .*: audit\. What stands here is done after that/);
    expect(plan.out).toMatch(new RegExp(`^ {2}delete ${vm?.name ?? ''}: odd disk$`, 'm'));
    expect(plan.out).toMatch(/^ {2}create a new VM: the pool's minimum is 1, and it has 0; not counted: /m);
    const told = JSON.parse((await vmpool('operator', 'plan', '--json')).out) as {
      stacks: { planned: { members: { vm: string | null; decided: boolean }[] } | null }[];
    };
    expect(told.stacks.flatMap(({ planned }) => planned?.members ?? [])).toMatchObject([
      { vm: vm?.name, order: 'delete', decided: true },
      { vm: null, order: 'create', decided: false },
    ]);
    expect((await status()).members.map(({ name }) => name)).toEqual([vm?.name]);
    expect((await vmpool('operator', 'resume')).code).toBe(0);
    const [next] = (await quiet()).members;
    expect(next?.name).not.toBe(vm?.name);
    const shown = await vmpool('operator', 'vm', 'show', next?.name ?? '');
    expect(shown.out).toMatch(/made for +minimum: the pool's minimum is 1, and it has 0/);
    const audit = await vmpool('operator', 'events', '--history', '--decision', 'ended', '--json');
    expect(JSON.parse(audit.out.trim().split('\n').at(-1) ?? '')).toMatchObject({
      ...{ vm: vm?.name, decision: 'ended', reason: 'retired' },
      detail: 'Free -> deleting: odd disk',
    });
  }, 120_000);

  it('scale and apply: the stack is brought up by the service; a file that takes a size back is refused', async () => {
    const scaled = await vmpool('operator', 'scale', '--max', '3', '-r', 'deadline');
    expect(scaled).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^vmpool:max {2}2 -> 3\nAdopted: min 1, max 3/),
    });
    expect((await status()).shape).toMatchObject({ max: 3 });
    const file = join(site.directory, 'Pulumi.site.yaml');
    const back = await vmpool('operator', 'apply', file);
    expect(back).toMatchObject({ code: 4, err: expect.stringContaining('vmpool:max is 3, the file says 2') });
    expect((await vmpool('operator', 'apply', file, '--overwrite')).code).toBe(0);
    expect((await status()).shape).toMatchObject({ max: 2 });
    const history = await site.plain('site', ['stack', 'history', '--page-size', '2']);
    expect(history.output).toContain('vmpool scale max=3 (op: deadline)');
  }, 120_000);

  it('audit: all is as the stacks say, and changes go on; the pool held against another file differs', async () => {
    await eventually('no update under way', 60_000, async () =>
      (await status()).cells.every(({ running }) => !running),
    );
    const audited = await vmpool('operator', 'audit');
    expect(audited).toMatchObject({ code: 0, err: 'Changes are paused.\nChanges go on.\n' });
    expect(audited.out).toMatch(/^ok {7}site\nok {7}site-c001\n/);
    expect((await status()).paused).toBeNull();
    const file = join(site.directory, 'other.yaml');
    const text = readFileSync(join(site.directory, 'Pulumi.site.yaml'), 'utf8');
    // Pulumi has written the file anew and put quotes around numbers.
    const larger = text.replace(/vmpool:max: "?2"?$/m, 'vmpool:max: 9');
    expect(larger).not.toBe(text);
    writeFileSync(file, larger);
    const other = await vmpool('operator', 'audit', file, '--json');
    const { stacks } = JSON.parse(other.out) as {
      stacks: { stack: string; result: string; lines: string[] }[];
    };
    expect(stacks[0]).toMatchObject({
      result: 'differs',
      lines: ['max: the stack publishes 2, the config says 9'],
    });
    expect(other.code).toBe(1);
  }, 120_000);

  it('serve: refuses a store that another process serves', async () => {
    const second = await vmpool('operator', 'serve');
    expect(second.code).toBe(1);
    expect(second.err).toContain(`another process (pid ${String(service.pid)}`);
    const recover = await vmpool('operator', 'recover', '--from-backup');
    expect(recover).toMatchObject({ code: 1, err: expect.stringContaining(`pid ${String(service.pid)}`) });
  }, 60_000);

  it('serve: SIGHUP takes over what can change, tells what cannot, and keeps the old one when there are errors', async () => {
    const good = readFileSync(site.configFile, 'utf8');
    const reload = async (text: string, sign: string): Promise<string> => {
      const before = service.logged.length;
      writeFileSync(site.configFile, text);
      process.kill(service.pid, 'SIGHUP');
      return eventually(sign, 10_000, () => service.logged.slice(before).find((line) => line.includes(sign)));
    };
    expect(await reload(`${good}\nnonsense: 1\n`, 'has errors')).toContain('nonsense: unknown key');
    const changed = good
      .replace('idleBeforeShrink: 3s', 'idleBeforeShrink: 4s')
      .replace('pool: site', 'pool: other');
    const told = await reload(changed, 'was read again');
    expect(told).toContain('"applied":["policy.idleBeforeShrinkMs"]');
    expect(told).toContain('"needsRestart":["pool"]');
    expect(await reload(good, 'was read again')).toContain('"needsRestart":[]');
    expect((await vmpool('operator', 'status')).code).toBe(0);
  }, 60_000);
});
