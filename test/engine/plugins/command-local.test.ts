import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { local } from '@pulumi/command';
import { asset, secret } from '@pulumi/pulumi';

import { TestStack } from './stack.js';

jest.setTimeout(180_000);

let stack: TestStack;
const file = (name: string): string => join(stack.dir, name);
const read = (name: string): string => readFileSync(file(name), 'utf8');

beforeAll(async () => {
  stack = await TestStack.create('command-local');
});
afterAll(async () => {
  await stack.close();
});

describe('local.Command through its life', () => {
  const program = (version: string, trigger: string) => () => {
    const command = new local.Command('life', {
      create: 'echo "create $VERSION" | tee -a log; echo careful >&2',
      update: 'echo "update $VERSION after $PULUMI_COMMAND_STDOUT/$PULUMI_COMMAND_STDERR" | tee -a log',
      delete: 'echo "delete after $PULUMI_COMMAND_STDOUT" >> log',
      environment: { VERSION: version },
      dir: stack.dir,
      triggers: [trigger, { nested: [1] }],
    });
    return Promise.resolve({ stdout: command.stdout, stderr: command.stderr });
  };

  it('runs nothing in a preview', async () => {
    expect(await stack.preview(program('1', 'a'))).toEqual({ create: 2 });
    expect(existsSync(file('log'))).toBe(false);
  });

  it('runs create, and captures and shows both streams', async () => {
    const { outputs, shown } = await stack.up(program('1', 'a'));
    expect(outputs['stdout']?.value).toBe('create 1');
    expect(outputs['stderr']?.value).toBe('careful');
    expect(shown).toEqual(expect.arrayContaining(['create 1', 'careful']));
    expect(read('log')).toBe('create 1\n');
  });

  it('runs nothing when nothing changed', async () => {
    expect((await stack.up(program('1', 'a'))).changes).toEqual({ same: 2 });
    expect(read('log')).toBe('create 1\n');
  });

  it('runs update when an input changed, with the output before in its environment', async () => {
    const { outputs, changes } = await stack.up(program('2', 'a'));
    expect(changes).toMatchObject({ update: 1 });
    expect(outputs['stdout']?.value).toBe('update 2 after create 1/careful');
  });

  it('is replaced when a trigger changed', async () => {
    writeFileSync(file('log'), '');
    expect((await stack.up(program('2', 'b'))).changes).toMatchObject({ replace: 1 });
    expect(read('log')).toBe('create 2\ndelete after update 2 after create 1/careful\n');
  });

  it('runs delete when it is destroyed', async () => {
    writeFileSync(file('log'), '');
    await stack.up(() => Promise.resolve());
    expect(read('log')).toBe('delete after create 2\n');
  });
});

describe('the inputs of local.Command', () => {
  it('are honoured: stdin, interpreter, logging, no output before, create again without update', async () => {
    const program = (word: string) => () => {
      const reader = new local.Command('reader', { create: 'cat', stdin: `line\n${word}`, logging: 'none' });
      const bash = new local.Command('bash', {
        interpreter: ['/usr/bin/env', 'sh', '-euc'],
        create: 'echo only stderr is shown >&2; echo "$0 quiet [${PULUMI_COMMAND_STDOUT-unset}]"',
        environment: { WORD: word },
        logging: 'stderr',
        addPreviousOutputInEnv: false,
      });
      return Promise.resolve({ reader: reader.stdout, bash: bash.stdout });
    };
    const first = await stack.up(program('one'));
    expect(first.outputs['reader']?.value).toBe('line\none');
    expect(first.outputs['bash']?.value).toBe('sh quiet [unset]');
    expect(first.shown).toEqual(['only stderr is shown']);

    const second = await stack.up(program('two'));
    expect(second.changes).toMatchObject({ update: 2 });
    expect(second.outputs['reader']?.value).toBe('line\ntwo');
    expect(second.outputs['bash']?.value).toBe('sh quiet [unset]');
  });

  it('choose the files that are returned, the last rule that matches deciding', async () => {
    mkdirSync(file('tree/deep'), { recursive: true });
    for (const name of ['a.txt', 'deep/b.txt', 'deep/secret.txt', 'c.bin']) writeFileSync(file(`tree/${name}`), name);
    const { outputs } = await stack.up(() => {
      const command = new local.Command('files', {
        create: 'echo made > made.txt',
        dir: file('tree'),
        assetPaths: ['**.txt', '!**secret*'],
        archivePaths: ['*.txt', '*.bin', '!*.bin'],
      });
      return Promise.resolve({
        assets: command.assets.apply((assets) => Object.keys(assets ?? {}).sort()),
        archive: command.archive.apply(membersOf),
      });
    });
    expect(outputs['assets']?.value).toEqual(['a.txt', 'deep/b.txt', 'made.txt']);
    expect(outputs['archive']?.value).toEqual(['a.txt', 'made.txt']);
  });

  it('keep secrets: what comes of a secret is secret, and no secret is in the state', async () => {
    const { outputs } = await stack.up(() => {
      const command = new local.Command('secret', { create: 'cat', stdin: secret('hushhush'), logging: 'none' });
      return Promise.resolve({ stdout: command.stdout });
    });
    expect(outputs['stdout']).toEqual({ value: 'hushhush', secret: true });
    expect(stack.state()).toContain('"stdin"');
    expect(stack.state()).not.toContain('hushhush');
  });
});

describe('a local.Command that goes wrong', () => {
  it('fails the update with its exit code and its output', async () => {
    const failing = stack.up(() => {
      new local.Command('failing', { create: 'echo before the end; echo reason >&2; exit 7' });
      return Promise.resolve();
    });
    await expect(failing).rejects.toThrow(/exit status 7[^]*before the end[^]*reason/);
  });

  it('is ended with all that it started when its time is up', async () => {
    const late = stack.up(() => {
      new local.Command(
        'late',
        { create: `sleep 600 & echo $! > ${file('child')}; wait` },
        { customTimeouts: { create: '2s' } },
      );
      return Promise.resolve();
    });
    await expect(late).rejects.toThrow(/timed out/);
    expect(isRunning(Number(read('child')))).toBe(false);
  });
});

describe('an update that is cancelled', () => {
  it('ends its commands and all that they started', async () => {
    const cancel = new AbortController();
    const cancelled = stack.up(() => {
      new local.Command('long', { create: `sleep 600 & echo $! > ${file('cancelled')}; wait` });
      return Promise.resolve();
    }, cancel.signal);
    const outcome = expect(cancelled).rejects.toThrow();
    const deadline = performance.now() + 60_000;
    while (!existsSync(file('cancelled')) && performance.now() < deadline) await sleep(50);
    cancel.abort();
    await outcome;
    expect(isRunning(Number(read('cancelled')))).toBe(false);
  });
});

describe('local.run', () => {
  it('runs in previews and updates, and returns its inputs and outputs', async () => {
    const program = async () => {
      const result = await local.run({
        command: 'cat; echo run >> runs; printf %s "$NAME" >&2',
        stdin: 'in',
        dir: stack.dir,
        environment: { NAME: 'x' },
        assetPaths: ['runs'],
      });
      return { stdout: result.stdout, stderr: result.stderr, dir: result.dir, assets: Object.keys(result.assets ?? {}) };
    };
    await stack.preview(program);
    expect(read('runs')).toBe('run\n');
    const { outputs } = await stack.up(program);
    expect(read('runs')).toBe('run\nrun\n');
    expect(outputs['stdout']?.value).toBe('in');
    expect(outputs['stderr']?.value).toBe('x');
    expect(outputs['dir']?.value).toBe(stack.dir);
    expect(outputs['assets']?.value).toEqual(['runs']);
  });
});

async function membersOf(archive: asset.Archive | undefined): Promise<string[]> {
  if (!(archive instanceof asset.AssetArchive)) throw new Error('no archive of assets came back');
  return Object.keys(await archive.assets).sort();
}

function isRunning(pid: number): boolean {
  try {
    // A child that nobody has waited for yet is a zombie: ended all the same.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
