import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseWorkerConfig } from '../../../hooks/src/config.js';
import { copyIn } from '../../../hooks/src/remote/copying.js';
import { bootstrap, ship, stage, type Part, type Shipment } from '../../../hooks/src/remote/payload.js';
import { Ssh } from '../../../hooks/src/remote/ssh.js';
import { oneLine } from '../../../hooks/src/report.js';
import { readLease, ServiceClient } from '../../../hooks/src/service-client.js';
import { readTicket, removeLeaseFiles, writeLeaseFiles } from '../../../hooks/src/spool/lease-files.js';
import { safeName, Spool, type AttemptRecord } from '../../../hooks/src/spool/spool.js';
import { jobEnvironment, splitNul, splitScriptLine } from '../../../hooks/src/starter/input.js';
import { waitLimitMs } from '../../../hooks/src/starter/waiting.js';
import {
  parseEpilogueArguments,
  parsePrologueArguments,
  processorsOf,
} from '../../../hooks/src/torque/arguments.js';
import { parseQstat } from '../../../hooks/src/torque/qstat.js';
import { jobId, userName } from '../../../src/http/api.js';
import { json, nastyTexts, spoilt, text } from './texts.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vmpool-hostile-hooks-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const config = { service: { url: 'http://127.0.0.1:8470' }, worker: 'node1', copyIn: ['%h/x'], ssh: {} };

describe('what the hooks are given', () => {
  it('a worker configuration of anything is taken whole, or every error is named; what is taken can be used', () => {
    const texts = fc.oneof(
      text(),
      json().map((value) => JSON.stringify(value) ?? ''),
      spoilt(config).map((v) => JSON.stringify(v) ?? ''),
    );
    fc.assert(
      fc.property(texts, (content) => {
        const parsed = parseWorkerConfig(content);
        if (!parsed.ok) {
          expect(parsed.errors.length).toBeGreaterThan(0);
          return;
        }
        expect(() => new ServiceClient(parsed.config.service.url, null, 't')).not.toThrow();
        expect(parsed.config.ssh.command.startsWith('/')).toBe(true);
      }),
      { numRuns: 300 },
    );
    for (const url of ['http://[', 'http://a:99999', 'http://%', 'http://a b', 'http://'])
      expect(parseWorkerConfig(JSON.stringify({ ...config, service: { url } }))).toMatchObject({ ok: false });
  });

  it('arguments and environment of anything: job and user are what the service takes, or refused', () => {
    fc.assert(
      fc.property(fc.array(text(), { maxLength: 11 }), text(), (args, variable) => {
        for (const parsed of [parsePrologueArguments(args), parseEpilogueArguments(args)]) {
          if (!parsed.ok) {
            expect(parsed.why).toMatch(/argument is no/);
            continue;
          }
          expect(jobId.safeParse(parsed.value.job).success).toBe(true);
          expect(userName.safeParse(parsed.value.user).success).toBe(true);
        }
        const asked = processorsOf({ PBS_NUM_PPN: variable, PBS_NP: variable });
        expect(Number.isInteger(asked) && asked >= 1).toBe(true);
      }),
      { numRuns: 300 },
    );
    const [long] = nastyTexts.slice(-1);
    expect(
      parsePrologueArguments(['1.s', 'ann', 'ann', long ?? '', `walltime=${'9'.repeat(500)}`]),
    ).toMatchObject({ ok: true });
    expect(Number.isFinite(waitLimitMs(1000, Infinity))).toBe(true);
  });

  it('qstat’s output, /proc and the mom’s line in any form and of any size', () => {
    const lines = fc.array(
      fc.oneof(
        text(),
        text().map((t) => `    start_count = ${t}`),
        text().map((t) => `\t${t}`),
      ),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(lines, fc.uint8Array({ maxLength: 500 }), (all, bytes) => {
        const facts = parseQstat(all.join('\n'));
        if (facts !== null) expect(Number.isInteger(facts.startCount) && facts.startCount >= 0).toBe(true);
        const line = splitScriptLine(Buffer.from(bytes));
        if (line !== null) expect(line.path.startsWith('/')).toBe(true);
        const environment = jobEnvironment(splitNul(Buffer.from(bytes)));
        expect(environment.with('A', 'b').get('A')).toBe('b');
      }),
      { numRuns: 300 },
    );
    expect(
      parseQstat(`    Variable_List = ${'A=b,'.repeat(250_000)}\n    start_count = 1\n`)?.startCount,
    ).toBe(1);
    expect(parseQstat(`    x = y\n${'\tz\n'.repeat(300_000)}    start_count = 1\n`)?.startCount).toBe(1);
  });
});

describe('what lies in the spool', () => {
  const record: AttemptRecord = {
    ...{ version: 1, job: '1.s', user: 'ann', uid: 1000, gid: 1000, groups: [1000], start: 1, boot: 'b' },
    ...{ starter: { pid: 10, ticks: 100 }, prologue: { pid: 11, ticks: 101 }, script: '/x', lease: null },
    ...{ state: 'open', superseded: false },
  };
  const ticket = {
    ...{
      version: 1,
      service: { url: 'http://127.0.0.1:1', caFile: null },
      lease: 'l',
      capability: 'c',
      job: '1.s',
    },
    ...{ start: 1, walltimeSeconds: null, home: '/home/ann', workDirectory: null },
    prepared: [{ file: 'credential-0', path: '/tmp/x', mode: 0o600 }],
  };

  it('records, tickets and names of anything are read as such, or passed over', () => {
    const spool = new Spool(join(folder, 'spool'));
    spool.prepare();
    spool.begin(record);
    expect(spool.attempts('1.s')).toEqual([record]);
    const path = join(spool.attemptDirectory('1.s', record.starter), 'attempt.json');
    const lease = join(dirname(path), 'lease');
    mkdirSync(lease);
    writeFileSync(join(lease, 'lease.json'), JSON.stringify(ticket));
    expect(readTicket(dirname(path))).toEqual(ticket);
    const content = (valid: object): fc.Arbitrary<string> =>
      fc.oneof(
        text(),
        json().map((value) => JSON.stringify(value)),
        spoilt(valid).map((value) => JSON.stringify(value)),
        fc.nat(400).map((n) => JSON.stringify(valid).slice(0, n)),
      );
    fc.assert(
      fc.property(content(record), content(ticket), (one, other) => {
        writeFileSync(path, one);
        writeFileSync(join(lease, 'lease.json'), other);
        for (const read of spool.attempts('1.s')) {
          expect(Number.isInteger(read.starter.ticks + read.prologue.pid + read.start)).toBe(true);
          expect(['asking', 'open', 'ending', 'ended']).toContain(read.state);
        }
        const read = readTicket(dirname(path));
        if (read !== null) {
          expect(URL.canParse(read.service.url)).toBe(true);
          expect(read.lease).toMatch(/^[A-Za-z0-9_-]+$/);
          for (const { file } of read.prepared) expect(file).toMatch(/^credential-\d+$/);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('files of strangers among the jobs do not stop the sync', () => {
    const spool = new Spool(join(folder, 'strange'));
    spool.prepare();
    for (const name of ['lost+found', '=ZZ', '=', 'a=b', 'x=FF', '..=2F', '28=5B0=5D.server', '5.s'])
      mkdirSync(join(folder, 'strange', 'jobs', name));
    expect(spool.jobs().sort()).toEqual(['28[0].server', '5.s']);
  });

  it('what a prologue or epilogue left that was killed while it wrote goes with its job, half a key too', () => {
    const spool = new Spool(join(folder, 'killed'));
    spool.prepare();
    spool.begin(record);
    const attempt = spool.attemptDirectory(record.job, record.starter);
    writeLeaseFiles(attempt, { ...ticket, version: 1 }, 'key', {
      uid: process.getuid?.() ?? 0,
      gid: process.getgid?.() ?? 0,
    });
    const drafts = [
      join(attempt, 'attempt.json.7.new'),
      join(attempt, 'lease', 'key.7.new'),
      join(spool.jobDirectory(record.job), 'latest.7.new'),
    ];
    for (const path of drafts) writeFileSync(path, '{"vers');
    removeLeaseFiles(attempt, []);
    spool.write({ ...record, state: 'ended' });
    expect(readdirSync(attempt)).toEqual(['attempt.json']);
    writeFileSync(join(attempt, 'attempt.json.8.new'), '');
    spool.forget({ ...record, state: 'ended' });
    expect(readdirSync(join(folder, 'killed', 'jobs'))).toEqual([]);
  });

  it('a start that was killed before its first word is tidied away, one that is at it is not', () => {
    const spool = new Spool(join(folder, 'unbegun'));
    spool.prepare();
    const attempt = join(spool.jobDirectory('9.s'), '12-345');
    mkdirSync(attempt, { recursive: true, mode: 0o711 });
    writeFileSync(join(attempt, 'attempt.json.12.new'), '{');
    expect(spool.isUntidy('9.s', 60_000)).toBe(false);
    expect(spool.isUntidy('9.s', -1)).toBe(true);
    spool.forgetUnbegun('9.s', -1);
    expect(readdirSync(join(folder, 'unbegun', 'jobs'))).toEqual([]);
    mkdirSync(spool.jobDirectory('10.s'));
    expect(spool.isUntidy('10.s', 60_000)).toBe(false);
    expect(spool.isUntidy('10.s', -1)).toBe(true);
  });

  it('any job id stays within its directory', () => {
    fc.assert(
      fc.property(text(), (id) => {
        const name = safeName(id.slice(0, 300));
        expect(name).not.toMatch(/[/\0\n]|^\.\.?$/);
      }),
    );
  });
});

describe('what goes into a shell and to ssh', () => {
  const plan = { exclude: [], limitBytes: 1024 };
  const program = (name: string, body: string): string => {
    const path = join(folder, name);
    writeFileSync(path, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
    return path;
  };

  it('a lease of anything gives arguments of ssh that are only what they should be', async () => {
    const command = program('args', `printf '%s\\0' "$@"`);
    const vm = { member: 'm', host: '10.0.0.1', port: 22, hostKeys: ['ssh-ed25519 AAAA'], user: 'ann' };
    const lease = { ...{ id: 'l1', state: 'granted', detail: '', ready: true, position: null }, vm };
    const sample = fc.sample(
      fc.oneof(
        spoilt(lease),
        text().map((host) => ({ ...lease, vm: { ...vm, host } })),
        text().map((user) => ({ ...lease, vm: { ...vm, user } })),
      ),
      { numRuns: 200, seed: 7 },
    );
    const believed = sample.map(readLease).filter((one) => one !== null && one.vm !== null);
    expect(believed.length).toBeGreaterThan(5);
    for (const one of believed.slice(0, 12)) {
      if (one?.vm === null || one === null) continue;
      const ssh = new Ssh({ command, options: [], connectMs: 1000 }, one.vm, one.id, '/k', folder);
      const child = ssh.start('exit 0', ['ignore', 'pipe', 'ignore']);
      let out = '';
      child.stdout?.setEncoding('utf8').on('data', (more: string) => (out += more));
      await once(child, 'close');
      const args = out.split('\0').slice(0, -1);
      const end = args.indexOf('--');
      expect(args.slice(end)).toEqual(['--', one.vm.host, 'exit 0']);
      expect(one.vm.host).toMatch(/^[A-Za-z0-9]/);
      expect(args[args.indexOf('-l') + 1]).toBe(one.vm.user);
      // Every other word is an option of ours.
      const options = args.slice(0, end).filter((_, at, all) => all[at - 1] === '-o');
      expect(options.filter((option) => !/^[A-Za-z0-9]+=/.test(option))).toEqual([]);
      expect(options.join(' ')).not.toMatch(/ProxyCommand|\bLocalCommand=|KnownHostsCommand/);
      const written = readFileSync(join(folder, 'known_hosts'), 'utf8').split('\n').slice(0, -1);
      for (const line of written)
        expect(line).toMatch(/^vmpool-[A-Za-z0-9_-]+ [a-z0-9@.-]+ [A-Za-z0-9+/]+=*$/i);
    }
  });

  const onVm = (
    { script, data }: Shipment,
    missing = 0,
  ): { code: number | null; stdout: string; stderr: string } => {
    const input = Buffer.concat([script, data]);
    const ran = spawnSync('/bin/sh', ['-c', bootstrap(script)], {
      ...{ input: input.subarray(0, input.length - missing), cwd: folder, encoding: 'utf8' },
    });
    return { code: ran.status, stdout: ran.stdout, stderr: ran.stderr };
  };
  const content = fc.oneof(
    fc.uint8Array({ maxLength: 3000 }).map((bytes) => Buffer.from(bytes)),
    fc.string({ maxLength: 300 }).map((line) => Buffer.from(`${line}\n'"$(id)\\`)),
    fc.constant(Buffer.alloc(20_000, 'a')),
  );

  it('files for the VM, of any name and content, arrive as they are and run nothing', () => {
    const target = join(folder, 'vm');
    const away = join(folder, 'away');
    const where = { directory: target, taskDirectory: join(target, 'task-1') };
    fc.assert(
      fc.property(
        text().filter(
          (name) =>
            !name.includes('\0') &&
            Buffer.from(name).toString() === name &&
            Buffer.byteLength(name) < 200 &&
            name !== '' &&
            !/^(\.{1,2}|put|task-1)$/.test(name),
        ),
        fc.tuple(content, content, content),
        (name, data) => {
          for (const path of [target, away]) rmSync(path, { recursive: true, force: true });
          const file = name.replaceAll('/', '_');
          const folders = [target, where.taskDirectory, join(away, 'below')];
          const parts = folders.map((at, n) => ({
            path: join(at, file),
            mode: [0o700, 0o600, 0o400][n] ?? 0,
            data: data[n] ?? Buffer.alloc(0),
          }));
          const check = (): void => {
            for (const { path, mode, data: wanted } of parts) {
              expect(statSync(path).mode & 0o777).toBe(mode);
              expect(readFileSync(path).equals(wanted)).toBe(true);
            }
            expect(readdirSync(target).sort()).toEqual([file, 'task-1'].sort());
            expect(readdirSync(where.taskDirectory).sort()).toEqual([file, 'put'].sort());
            expect(readdirSync(folders[2] ?? '')).toEqual([file]);
          };
          expect(onVm(stage(where, parts, 'echo next'))).toEqual({ code: 0, stdout: 'next\n', stderr: '' });
          check();
          // As after a connection that broke, and as a credential that was renewed.
          expect(onVm(stage(where, parts, 'echo next')).stdout).toBe('next\n');
          expect(onVm(ship(parts.slice(2)))).toEqual({ code: 0, stdout: '', stderr: '' });
          check();
        },
      ),
      { numRuns: 15 },
    );
  });

  it('files for several tasks that begin together do not spoil one another', async () => {
    const target = join(folder, 'together');
    const away = join(target, 'away', 'proxy');
    const send = async (n: number): Promise<unknown> => {
      const where = { directory: target, taskDirectory: join(target, `task-${n}`) };
      const data = Buffer.from(`${'x'.repeat(20_000)}\0`);
      const parts = [join(target, 'runner'), away].map((path) => ({ path, mode: 0o600, data }));
      const shipment = stage(where, parts, 'exit 0');
      const child = spawn('/bin/sh', ['-c', bootstrap(shipment.script)], {
        stdio: ['pipe', 'ignore', 'inherit'],
      });
      child.stdin.end(Buffer.concat([shipment.script, shipment.data]));
      return (await once(child, 'close'))[0];
    };
    for (let round = 0; round < 5; round += 1) {
      rmSync(target, { recursive: true, force: true });
      mkdirSync(dirname(away), { recursive: true });
      expect(await Promise.all([1, 2, 3, 4, 5, 6].map(send))).toEqual([0, 0, 0, 0, 0, 0]);
      expect(readdirSync(dirname(away))).toEqual(['proxy']);
    }
  });

  it('of files whose connection broke nothing is run and nothing is put in place', () => {
    const target = join(folder, 'cut');
    const where = { directory: target, taskDirectory: join(target, 'task-1') };
    const part = (path: string): Part => ({ path, mode: 0o700, data: Buffer.from('exit 0\n\0') });
    for (const missing of [1, 3, 6, 9, 14]) {
      const cut = { code: 73, stdout: '', stderr: expect.stringContaining('the connection broke') };
      const parts = [part(join(target, 'runner')), part(join(folder, 'kept'))];
      expect(onVm(stage(where, parts, 'echo next'), missing)).toEqual(cut);
      expect(onVm(ship(parts), missing)).toEqual(cut);
      expect(existsSync(join(target, 'runner')) || existsSync(join(folder, 'kept'))).toBe(false);
    }
  });

  it('a working directory that cannot be looked at is told, not thrown', async () => {
    const round = join(folder, 'round');
    symlinkSync(round, round);
    const ssh = new Ssh(
      { command: program('none', 'cat > /dev/null; exit 1'), options: [], connectMs: 1000 },
      { member: 'm', host: 'h', port: 22, hostKeys: [], user: 'ann' },
      'l',
      '/k',
      folder,
    );
    for (const path of [`${round}/x`, `/${'x'.repeat(5000)}`, `/${'x'.repeat(300)}`])
      expect(await copyIn(ssh, '/tmp/vmpool-l', { ...plan, paths: [path] }, 10_000)).toMatchObject({
        ok: false,
        why: expect.stringMatching(/ELOOP|ENAMETOOLONG/),
      });
  });

  it('a message for the log is one line that no terminal obeys', () => {
    fc.assert(
      fc.property(text(), (message) => {
        const line = oneLine(message);
        expect(line).not.toMatch(/[\p{Cc}\p{Cf}\u2028\u2029]/u);
        expect(line.length).toBeLessThanOrEqual(8192 * 3);
      }),
    );
    expect(oneLine('a\n  b\u001b[2J')).toBe('a | b?[2J');
  });
});
