import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Backend } from '../../../src/engine/backend.js';
import { cellOfStack } from '../../../src/engine/options.js';
import { PulumiCli, PulumiFailed } from '../../../src/engine/pulumi-command.js';
import { Runs } from '../../../src/engine/runs.js';

const never = new AbortController().signal;
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vmpool-backend-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A program in the place of the CLI that says this, whatever it is asked. */
const saying = (text: string): PulumiCli => {
  const bin = join(folder, 'pulumi');
  writeFileSync(bin, `#!/bin/sh\ncat <<'END'\n${text}\nEND\n`, { mode: 0o755 });
  return new PulumiCli(bin, {}, new Runs(folder));
};

describe('the stacks of a backend', () => {
  it('in a directory are its files, without the copies that Pulumi keeps of each', async () => {
    const stacks = join(folder, 'state', '.pulumi', 'stacks', 'vmpool');
    mkdirSync(stacks, { recursive: true });
    for (const name of ['demo-c001.json', 'demo-c001.json.bak', 'demo-c001.json.attrs', 'demo.json'])
      writeFileSync(join(stacks, name), '{}');
    const backend = new Backend(`file://${join(folder, 'state')}`, saying(''), new Runs(folder), folder);
    expect([...(await backend.stacks(never))].sort()).toEqual(['demo', 'demo-c001']);
  });

  it('in a directory that nobody has written to yet are none', async () => {
    const backend = new Backend(`file://${join(folder, 'none')}`, saying(''), new Runs(folder), folder);
    expect(await backend.stacks(never)).toEqual([]);
  });

  it('anywhere else are those that the command line lists', async () => {
    const listed = JSON.stringify([{ name: 'demo-c001', current: false }, { name: 'org/vmpool/demo-c002' }]);
    const backend = new Backend('s3://bucket', saying(listed), new Runs(folder), folder);
    expect(await backend.stacks(never)).toEqual(['demo-c001', 'demo-c002']);
  });
});

describe('the state of a new stack', () => {
  const laidOut = (name: string): { readonly backend: Backend; readonly stacks: string } => {
    const stacks = join(folder, name, '.pulumi', 'stacks', 'vmpool');
    mkdirSync(stacks, { recursive: true });
    writeFileSync(join(folder, name, '.pulumi', 'meta.yaml'), 'version: 1\n');
    return { backend: new Backend(`file://${join(folder, name)}`, saying(''), new Runs(folder), folder), stacks };
  };

  it('is begun without the CLI where Pulumi keeps stacks by project, and is read as one without resources', async () => {
    const { backend, stacks } = laidOut('new');
    expect(backend.begin('demo-c001')).toBe(true);
    expect(readdirSync(stacks)).toEqual(['demo-c001.json']);
    expect(await backend.read('demo-c001', never)).toEqual({ kind: 'found', state: { version: 3, deployment: {} } });
  });

  it('is never begun over one that is there', () => {
    const { backend, stacks } = laidOut('there');
    writeFileSync(join(stacks, 'demo-c001.json'), 'precious');
    expect(backend.begin('demo-c001')).toBe(false);
    expect(readFileSync(join(stacks, 'demo-c001.json'), 'utf8')).toBe('precious');
    writeFileSync(join(stacks, 'demo-c002.json.gz'), 'precious');
    expect(backend.begin('demo-c002')).toBe(false);
    expect(readdirSync(stacks).sort()).toEqual(['demo-c001.json', 'demo-c002.json.gz']);
  });

  it('is left to the CLI where the backend is another one, or is not laid out yet', () => {
    expect(new Backend('s3://bucket', saying(''), new Runs(folder), folder).begin('demo-c001')).toBe(false);
    const fresh = join(folder, 'fresh');
    expect(new Backend(`file://${fresh}`, saying(''), new Runs(folder), folder).begin('demo-c001')).toBe(false);
    expect(existsSync(fresh)).toBe(false);
    const flat = join(folder, 'flat');
    mkdirSync(join(flat, '.pulumi', 'stacks', 'vmpool'), { recursive: true });
    expect(new Backend(`file://${flat}`, saying(''), new Runs(folder), folder).begin('demo-c001')).toBe(false);
  });
});

it.each([
  ['demo-c001', 'c001'],
  ['demo-c1234', 'c1234'],
  ['demo', null],
  ['demo-summary', null],
  ['demo-cx', null],
  ['demo-two-c001', null],
  ['other-c001', null],
  ['demo-c001-c002', null],
])('the stack %s is the cell %s of the pool demo', (stack, cell) => {
  expect(cellOfStack('demo', stack)).toBe(cell);
});

it('a Pulumi that fails and leaves its lock has it taken away; those of others stay', async () => {
  const locks = join(folder, 'locked', '.pulumi', 'locks', 'organization', 'vmpool', 'demo-c001');
  mkdirSync(locks, { recursive: true });
  const lock = (pid: string): string =>
    `{"pid":${pid},"hostname":"${hostname()}","username":"root","timestamp":"t"}`;
  writeFileSync(join(locks, 'theirs.json'), lock(String(process.pid)));
  const bin = join(folder, 'failing');
  writeFileSync(bin, `#!/bin/sh\ncat >'${locks}/ours.json' <<END\n${lock('$$')}\nEND\nexit 255\n`, {
    mode: 0o755,
  });
  const runs = new Runs(join(folder, 'failed'));
  const cli = new PulumiCli(bin, { PATH: process.env['PATH'] ?? '' }, runs, join(folder, 'locked'));
  const options = { cwd: folder, stack: 'demo-c001', signal: never, limitMs: 30_000 };
  await expect(cli.run(['up'], options)).rejects.toThrow(PulumiFailed);
  expect(readdirSync(locks)).toEqual(['theirs.json']);
  expect(runs.all()).toEqual([]);
});
