import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Command } from 'commander';
import { chmodSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, join } from 'node:path';
import { stringify } from 'yaml';
import { exitCodes } from '../../../src/cli/exit.js';
import { vmpool } from '../../../src/cli/program.js';
import type { World } from '../../../src/cli/world.js';
import { repoRoot } from '../../../src/repo-root.js';
import { TestPlace } from '../backup/place.js';
import { FakeClient, memberView, play, statusView, type Played } from './play.js';

/** Every command that does something, by its words. */
const commandsBelow = (
  command: Command,
  words: readonly string[] = [],
): readonly (readonly [string, Command])[] =>
  command.commands.length === 0
    ? [[words.join(' '), command]]
    : command.commands.flatMap((below) => commandsBelow(below, [...words, below.name()]));
const commands = commandsBelow(vmpool({ terminal: {}, env: {} } as World));
const takesJson = (command: Command): boolean => command.options.some(({ long }) => long === '--json');

/** Why these have no `--json`. */
const without: Readonly<Record<string, string>> = {
  serve: 'its log is JSON lines',
  ssh: "its output is the VM's",
  run: "its output is the command's on the VM",
  completion: 'its output is a script for a shell',
  words: 'asked by that script, which reads lines',
};
/** These go on, or list events: a document a line. */
const inLines = new Set(['events', 'top', 'cloud']);
/** Need Pulumi, a cloud or root: what prints JSON is run by these tests, which name it. */
const slow: Readonly<Record<string, readonly [file: string, words: string]>> = {
  plan: ['test/e2e/classes.test.ts', "JSON.parse((await vmpool('plan', '--json')).out)"],
  audit: ['test/e2e/cli.test.ts', "vmpool('operator', 'audit', file, '--json')"],
  cloud: ['test/embedded/cloud-command.test.ts', "'cloud', '--json'"],
  demo: ['test/e2e/demo-smoke.test.ts', "'demo', '--json'"],
};

let here: TestPlace;
let config: string;
const cacheBefore = process.env['VMPOOL_CACHE'];
const file = (name: string): string => here.path(name);
beforeAll(async () => {
  here = new TestPlace();
  here.fill();
  await here.commit(7);
  for (const name of ['token', 'passphrase', 'admin']) here.put(name, `${name}-${'x'.repeat(30)}\n`);
  const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample';
  here.put('key.pub', `${key} me\n`);
  const shape = { max: 3, flavor: 'small', image: 'debian', networks: ['net0'], adminKey: `${key} vmpool` };
  here.put(
    'Pulumi.batch.yaml',
    stringify({ config: Object.fromEntries(Object.entries(shape).map(([k, v]) => [`vmpool:${k}`, v])) }),
  );
  mkdirSync(file('backups'));
  config = file('vmpool.yaml');
  here.put(
    'vmpool.yaml',
    stringify({
      pool: 'batch',
      stateDir: here.place.stateDir,
      auth: { tokens: [{ name: 'op', role: 'operator', tokenFile: file('token') }] },
      engine: { passphraseFile: file('passphrase'), backend: `file://${file('pulumi')}` },
      guest: { privateKeyFile: file('admin') },
    }),
  );
  // An engine as far as its installation looks at it.
  const program = '#!/bin/sh\necho v3.259.0\n';
  for (const name of [
    'engine/bin/pulumi',
    'engine/bin/pulumi-language-nodejs',
    'engine/home/plugins/resource-openstack-v3.15.2/pulumi-resource-openstack',
    'engine/home/plugins/resource-command-v1.2.1/pulumi-resource-command',
  ]) {
    here.put(name, program);
    chmodSync(file(name), 0o755);
  }
  // What looks for the engine in this very process finds that one, too.
  process.env['VMPOOL_CACHE'] = file('cache');
  expect((await played('engine install')).code).toBe(0);
});
afterAll(() => {
  if (cacheBefore === undefined) delete process.env['VMPOOL_CACHE'];
  else process.env['VMPOOL_CACHE'] = cacheBefore;
  here.close();
});

const member = 'batch-0001-abcd';
const client = (): FakeClient => {
  const fake = new FakeClient();
  fake.view = statusView({ members: [memberView(member)] });
  fake.said = true;
  fake.told = [1, 2].map((id) => ({
    ...{ id, at: '2026-11-23T10:00:00.000Z', kind: 'vm', detail: 'Free', vm: member },
    ...{ lease: null, job: null, user: null },
  }));
  fake.detail = { member: memberView(member), lease: null, ssh: null } as unknown as FakeClient['detail'];
  return fake;
};
/** The words after each command. A command that is not here and not in `slow` fails the test. */
const invocations: Readonly<Record<string, () => readonly string[]>> = {
  status: () => [],
  top: () => ['--every', '0.5'],
  vms: () => [],
  'vm show': () => [member],
  leases: () => [],
  requests: () => [],
  events: () => [],
  why: () => ['28'],
  usage: () => [],
  console: () => [member],
  check: () => ['--config', config],
  hold: () => [member],
  unhold: () => [member],
  drain: () => [member],
  undrain: () => [member],
  retire: () => [member],
  kill: () => [member, '--yes'],
  pause: () => ['--reason', 'x'],
  resume: () => [],
  scale: () => ['--max', '60'],
  apply: () => [file('Pulumi.batch.yaml')],
  adopt: () => [],
  request: () => ['--key', file('key.pub'), '--user', 'daemon'],
  release: () => ['f00d'],
  policy: () => [file('Pulumi.batch.yaml')],
  env: () => ['--config', config],
  doctor: () => ['--config', config],
  recover: () => ['--from-backup', '--config', config],
  'token new': () => ['--name', 'n1', '--role', 'viewer'],
  'token hash': () => [file('token')],
  'token migrate': () => ['--config', config],
  backup: () => [file('backups'), '--config', config],
  restore: () => [join(file('backups'), readdirSync(file('backups'))[0] ?? ''), '-n', '--config', config],
  'service install': () => ['--root', file('machine')],
  'service check': () => ['--root', file('machine')],
  'hooks install': () => ['--root', file('worker')],
  'hooks check': () => ['--root', file('worker')],
  'engine install': () => [],
  'engine show': () => [],
};

/** Plays one with `--json`, with an engine on PATH; what goes on is stopped at its second look. */
const played = async (name: string): Promise<Played> => {
  const fake = client();
  const stop = new AbortController();
  if (name === 'top') {
    const { status } = fake;
    fake.status = (signal) => {
      if (fake.asked.length > 0) stop.abort();
      return status(signal);
    };
  }
  const env = {
    PATH: [file('engine/bin'), process.env['PATH'] ?? ''].join(delimiter),
    PULUMI_HOME: file('engine/home'),
    HOME: here.root,
    VMPOOL_CACHE: file('cache'),
  };
  return play(
    [...name.split(' '), '--json', ...(invocations[name]?.() ?? [])],
    fake,
    env,
    false,
    stop.signal,
  );
};

describe('--json', () => {
  it('is an option of every command, or there is a reason why not', () => {
    const lacking = commands.filter(([, command]) => !takesJson(command)).map(([name]) => name);
    expect(lacking.filter((name) => without[name] === undefined)).toEqual([]);
    // Nothing is excused that has it, or is no command.
    expect(Object.keys(without).filter((name) => !lacking.includes(name))).toEqual([]);
  });

  const withJson = commands.filter(([, command]) => takesJson(command)).map(([name]) => name);

  it('is tried here for each command that has it, or in a test that needs more', () => {
    expect(withJson.filter((name) => invocations[name] === undefined && slow[name] === undefined)).toEqual(
      [],
    );
    for (const name of [...Object.keys(invocations), ...Object.keys(slow)]) expect(withJson).toContain(name);
    for (const [name, [path, words]] of Object.entries(slow)) {
      const names = readFileSync(join(repoRoot, path), 'utf8').includes(words);
      expect({ name, names }).toEqual({ name, names: true });
    }
  });

  it.each(Object.keys(invocations))('of %s prints JSON and nothing else', async (name) => {
    const { out, err, code } = await played(name);
    expect({ err, code, isTold: out !== '' }).toMatchObject({ isTold: true });
    expect([0, 1]).toContain(code);
    if (inLines.has(name)) {
      const lines = out.trimEnd().split('\n');
      expect(lines.length).toBeGreaterThan(1);
      for (const line of lines) expect(JSON.parse(line)).toBeInstanceOf(Object);
    } else expect(JSON.parse(out)).toBeInstanceOf(Object);
  });
});

describe('what programs read of', () => {
  const json = async (...args: readonly string[]): Promise<unknown> => {
    const { out, err, code } = await play([...args, '--json']);
    expect({ err, code }).toEqual({ err: '', code: 0 });
    return JSON.parse(out);
  };
  const hash = expect.stringMatching(/^[0-9a-f]{64}$/) as unknown;

  it('token new: the token and its entry, or the file that it was written to', async () => {
    expect(await json('token', 'new', '-n', 'n1', '-r', 'worker', '-w', 'node1')).toEqual({
      token: expect.stringMatching(/^vmpt_/) as unknown,
      entry: { name: 'n1', role: 'worker', worker: 'node1', sha256: hash },
    });
    const out = file('new.token');
    const told = await json('token', 'new', '-n', 'n2', '-r', 'viewer', '-o', out);
    expect(told).toEqual({ tokenFile: out, entry: { name: 'n2', role: 'viewer', sha256: hash } });
    expect(JSON.stringify(told)).not.toContain(readFileSync(out, 'utf8').trim());
  });

  it('token migrate: whose tokens it has hashed, and none the second time', async () => {
    const own = file('own.yaml');
    here.put('own.yaml', readFileSync(config, 'utf8').replace(/sha256: .*/, `tokenFile: ${file('token')}`));
    expect(await json('token', 'migrate', '--config', own)).toEqual({ hashed: ['op'] });
    expect(await json('token', 'migrate', '--config', own)).toEqual({ hashed: [] });
  });

  it('engine install: what engine show tells afterwards', async () => {
    const install = JSON.parse((await played('engine install')).out) as Record<string, unknown>;
    expect(install).toMatchObject({
      source: 'path',
      versions: { cli: '3.259.0' },
      pulumi: expect.stringContaining(file('cache')) as unknown,
    });
  });
});

describe('exit codes', () => {
  const documented = (): readonly number[] => {
    const text = readFileSync(join(repoRoot, 'docs/reference/cli.md'), 'utf8');
    const table =
      /## Exit codes\n\n\| code \| meaning \|\n\| --- \| --- \|\n((?:\|.*\n)+)/.exec(text)?.[1] ?? '';
    return table
      .trimEnd()
      .split('\n')
      .flatMap((row) => (row.split('|')[1] ?? '').split(',').map(Number));
  };

  it('of the documentation are those of the program, each once', () => {
    const inOrder = (codes: readonly number[]): readonly number[] => codes.toSorted((a, b) => a - b);
    expect(inOrder(documented())).toEqual(inOrder(Object.values(exitCodes)));
  });

  it('of the help are those that any command may end with', async () => {
    const { out } = await play(['--help']);
    const told = [...(/Exit codes:([^]*)$/.exec(out)?.[1] ?? '').matchAll(/(?:^| {2})(\d+) /gm)].map(
      ([, code]) => Number(code),
    );
    const { ok, notInOrder, usage, unreachable, refused } = exitCodes;
    expect(told).toEqual([ok, notInOrder, usage, unreachable, refused]);
  });

  it('after a signal are those of a shell', () => {
    const { SIGHUP, SIGINT, SIGTERM } = constants.signals;
    const { hangup, interrupted, terminated } = exitCodes;
    expect([hangup, interrupted, terminated]).toEqual(
      [SIGHUP, SIGINT, SIGTERM].map((signal) => 128 + signal),
    );
  });
});
