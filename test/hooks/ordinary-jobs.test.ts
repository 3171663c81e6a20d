import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { createHash } from 'node:crypto';
import { alice, bob, Site } from './site.js';
import type { JobResult } from '../mom/job.js';
import type { Submission } from '../mom/job.js';

jest.setTimeout(90_000);

describe('jobs run on the VM as they would under Torque alone', () => {
  let site: Site;
  beforeAll(async () => {
    site = await Site.open({ vms: 2 });
  });
  afterAll(() => site?.close());
  afterEach(() => {
    expect(site.service.liveJobs()).toEqual([]);
  });

  const run = (script: string, more: Partial<Submission> = {}): Promise<JobResult> =>
    site.mom.finished(site.mom.submit({ user: alice.name, script, ...more }));
  const says = async (script: string, more: Partial<Submission> = {}): Promise<string> => {
    const result = await run(script, more);
    expect({ code: result.exitStatus, stderr: result.stderr }).toEqual({ code: 0, stderr: '' });
    return result.stdout.toString();
  };

  it('brings back output, errors and exit code; arguments are split by the shell as the user quoted them', async () => {
    const script = '#!/bin/bash\necho "on $(hostname) as $(id -un): $# $1"\necho oops >&2\nexit 7\n';
    const result = await run(script, { args: '"two  words" $HOME \'$x\'' });
    expect(result.stdout.toString()).toBe('on vm1 as vmpalice: 3 two  words\n');
    expect(result).toMatchObject({ stderr: 'oops\n', state: 'complete', exitStatus: 7, starts: 1 });
  });

  it('keeps every exit code, ssh’s own 255 included, and signals as 128 + n', async () => {
    expect((await run('exit 255')).exitStatus).toBe(255);
    expect((await run('exit 98')).exitStatus).toBe(98);
    expect((await run('kill -SEGV $$')).exitStatus).toBe(139);
    expect((await run('kill -9 $$')).exitStatus).toBe(137);
  });

  it('runs a script without #! by the shell, others by their interpreter', async () => {
    expect(await says('echo "$0" | sed "s,.*/,,"; echo ${BASH_VERSION:+bash}')).toMatch(
      /^\d+\.server\.SC\nbash\n$/,
    );
    expect(await says('#!/usr/bin/perl\nprint "perl $ENV{PBS_JOBNAME}\\n";', { name: 'p' })).toBe('perl p\n');
    expect(await says('echo $0 ${BASH_VERSION:-none}\n', { shell: '/bin/sh' })).toMatch(/ none\n$/);
  });

  it('begins in the home directory, with the user’s ids and groups and Torque’s umask', async () => {
    expect(await says('pwd; id -u; id -G; umask')).toBe('/home/vmpalice\n64101\n64101 64200\n0077\n');
  });

  it('an array job has its index and a file name without brackets', async () => {
    const first = site.mom.submit({ user: bob.name, script: 'echo $PBS_JOBID $PBS_ARRAYID', arrayIndex: 0 });
    const second = site.mom.submit({ user: bob.name, script: 'echo $PBS_JOBID $PBS_ARRAYID', arrayIndex: 1 });
    expect((await site.mom.finished(first)).stdout.toString()).toBe(`${first} 0\n`);
    expect((await site.mom.finished(second)).stdout.toString()).toBe(`${second} 1\n`);
  });

  it('variables arrive byte for byte: newlines, quotes, functions, empty ones', async () => {
    const variables = {
      TWO_LINES: 'one\ntwo',
      QUOTES: `it's "so" \`pwd\` $HOME \\`,
      EMPTY: '',
      'BASH_FUNC_greet%%': '() {  echo "hello $1"\n}',
      NODE_OPTIONS: '--no-such-option',
      UNICODE: 'żółć ☃',
    };
    const script =
      'printf "%s|" "$TWO_LINES" "$QUOTES" "${EMPTY-unset}" "$NODE_OPTIONS" "$UNICODE"; greet you';
    expect(await says(script, { variables })).toBe(
      `one\ntwo|${variables.QUOTES}||--no-such-option|${variables.UNICODE}|hello you\n`,
    );
  });

  it('has Torque’s variables, and a node file that can be read', async () => {
    const script = 'echo $PBS_ENVIRONMENT $PBS_NUM_PPN $PBS_O_WORKDIR; cat $PBS_NODEFILE';
    expect(await says(script, { ppn: 2, workDirectory: '/home/vmpalice' })).toBe(
      'PBS_BATCH 2 /home/vmpalice\nvm1\nvm1\n',
    );
  });

  it('standard input is at its end behind the script’s line', async () => {
    expect(await says('cat | wc -c')).toBe('0\n');
  });

  it('output streams while the job runs', async () => {
    const id = site.mom.submit({
      user: alice.name,
      script: 'echo first; read -t 20 < <(sleep 20); echo last',
    });
    await site.mom.until(id, () => site.mom.stdout(id).toString() === 'first\n', 'the first line');
    expect(site.mom.state(id)).toBe('running');
    await site.mom.qdel(id);
    await site.mom.finished(id);
  });

  it('carries 100 MB of any bytes unharmed', async () => {
    const script = `head -c 104857600 /dev/zero | openssl enc -aes-128-ctr -nosalt -K ${'0'.repeat(32)} -iv ${'0'.repeat(32)} | tee >(sha256sum | cut -d' ' -f1 >&2)\n sleep 0.5`;
    const result = await run(script, { shell: '/bin/bash' });
    const sum = createHash('sha256').update(result.stdout).digest('hex');
    expect(result.stdout.length).toBe(104_857_600);
    expect(result.stderr.trim()).toBe(sum);
  });

  it('qsub -I: a terminal, job control, Ctrl-C, and the exit code', async () => {
    const id = site.mom.submit({ user: alice.name, script: '', interactive: true });
    await site.mom.running(id);
    const seen = (): string => site.mom.stdout(id).toString();
    await site.mom.until(id, () => /[$#] $/.test(seen()), 'a prompt');
    site.mom.type(id, 'tty; echo "$PBS_ENVIRONMENT on $(hostname)"\r');
    await site.mom.until(id, () => seen().includes('PBS_INTERACTIVE on vm'), 'the answer');
    expect(seen()).toMatch(/\/dev\/pts\/\d+/);
    site.mom.type(id, 'sleep 100\r');
    await new Promise((resolve) => setTimeout(resolve, 300));
    site.mom.type(id, '\x03');
    site.mom.type(id, 'echo "code $?"\r');
    await site.mom.until(id, () => seen().includes('code 130'), 'the end of sleep');
    site.mom.type(id, 'exit 5\r');
    expect((await site.mom.finished(id)).exitStatus).toBe(5);
  });

  it('pbsdsh: a task runs on the job’s VM beside it, with its own arguments and exit code', async () => {
    const id = site.mom.submit({
      user: alice.name,
      script: 'touch /tmp/began; until [ -e /tmp/go ]; do sleep 0.1; done',
    });
    await site.mom.running(id);
    const lease = site.service.leaseOf(id);
    await site.mom.until(id, () => lease?.vm?.run('ls /tmp').includes('began') === true, 'its begin');
    const task = await site.mom.pbsdsh(id, [
      '/bin/sh',
      '-c',
      'hostname; echo "$1"; touch /tmp/go; exit 4',
      'sh',
      'a "b" c',
    ]);
    expect(task).toEqual({ code: 4, stdout: 'vm1\na "b" c\n', stderr: '' });
    expect((await site.mom.finished(id)).exitStatus).toBe(0);
    const late = await site.mom.pbsdsh(id, ['/bin/true', 'x']);
    expect(late.code).toBe(98);
  });

  it('leaves nothing of the job on the worker', async () => {
    await says('true');
    const left = site.spool().filter((path) => !/^[^/]+(\/latest|\/[0-9-]+(\/attempt\.json)?)?$/.test(path));
    expect(left).toEqual([]);
  });
});
