import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { remote, type types } from '@pulumi/command';
import { asset } from '@pulumi/pulumi';

import { TestSshd } from './sshd.js';
import { TestStack } from './stack.js';

jest.setTimeout(180_000);

let stack: TestStack;
let sshd: TestSshd;
const file = (name: string): string => join(stack.dir, name);
const read = (name: string): string => readFileSync(file(name), 'utf8');
const connection = (): types.input.remote.ConnectionArgs => ({
  host: '127.0.0.1',
  port: sshd.port,
  user: sshd.user,
  privateKey: sshd.userKey,
  hostKey: sshd.hostKey,
});

beforeAll(async () => {
  sshd = await TestSshd.prepare();
  await sshd.start();
  stack = await TestStack.create('command-remote');
});
afterAll(async () => {
  await stack.close();
  await sshd.close();
});

/** A program with one remote.Command that runs `create`. */
function commandWith(create: string, args: Partial<remote.CommandArgs> = {}) {
  return () => {
    const command = new remote.Command('one', { connection: connection(), create, ...args });
    return Promise.resolve({ stdout: command.stdout, stderr: command.stderr });
  };
}

describe('remote.Command through its life', () => {
  const program = (version: string, trigger: string) => () => {
    const command = new remote.Command('life', {
      connection: connection(),
      create: `echo "create $VMP_VERSION" | tee -a ${file('log')}; cat >&2`,
      update: `echo "update $VMP_VERSION after $PULUMI_COMMAND_STDOUT" | tee -a ${file('log')}`,
      delete: `echo "delete after $PULUMI_COMMAND_STDOUT" >> ${file('log')}`,
      environment: { VMP_VERSION: version },
      stdin: 'from stdin',
      triggers: [trigger],
    });
    return Promise.resolve({ stdout: command.stdout, stderr: command.stderr });
  };

  it('connects to nothing in a preview', async () => {
    expect(await stack.preview(program('1', 'a'))).toEqual({ create: 2 });
    expect(existsSync(file('log'))).toBe(false);
  });

  it('runs create over SSH, with environment and stdin', async () => {
    const { outputs, shown } = await stack.up(program('1', 'a'));
    expect(outputs['stdout']).toEqual({ value: 'create 1', secret: false });
    expect(outputs['stderr']?.value).toBe('from stdin');
    expect(shown).toEqual(expect.arrayContaining(['create 1', 'from stdin']));
  });

  it('keeps the connection out of the state', () => {
    const [, secretLine = ''] = sshd.userKey.split('\n');
    expect(stack.state()).toContain('"connection"');
    expect(stack.state()).not.toContain(secretLine);
  });

  it('runs update on a change, is replaced on a trigger, and runs delete at the end', async () => {
    expect((await stack.up(program('2', 'a'))).outputs['stdout']?.value).toBe('update 2 after create 1');
    writeFileSync(file('log'), '');
    expect((await stack.up(program('2', 'b'))).changes).toMatchObject({ replace: 1 });
    expect(read('log')).toBe('create 2\ndelete after update 2 after create 1\n');
    await stack.up(() => Promise.resolve());
    expect(read('log')).toBe('create 2\ndelete after update 2 after create 1\ndelete after create 2\n');
  });
});

describe('the connection', () => {
  it('is refused at once when the host key is not the expected one, and nothing runs', async () => {
    const wrong = commandWith(`touch ${file('intruded')}`, {
      connection: { ...connection(), hostKey: sshd.otherHostKey },
    });
    await expect(stack.up(wrong)).rejects.toThrow(/failed 1 time\(s\)[^]*host key is not the expected one/);
    expect(existsSync(file('intruded'))).toBe(false);
  });

  it('asks for the kind of host key that is expected', async () => {
    const { outputs } = await stack.up(
      commandWith('echo by rsa', { connection: { ...connection(), hostKey: sshd.rsaHostKey } }),
    );
    expect(outputs['stdout']?.value).toBe('by rsa');
  });

  it('goes through a proxy, whose host key is checked too', async () => {
    const through = { ...connection(), host: 'localhost', proxy: connection() };
    const { outputs } = await stack.up(commandWith('echo through', { connection: through }));
    expect(outputs['stdout']?.value).toBe('through');

    const wrong = { ...through, proxy: { ...connection(), hostKey: sshd.otherHostKey } };
    await expect(stack.up(commandWith('echo through a stranger', { connection: wrong }))).rejects.toThrow(
      /proxy: [^]*host key is not the expected one/,
    );
  });

  it('is tried again until the host answers', async () => {
    const late = await TestSshd.prepare();
    try {
      const waiting = stack.up(
        commandWith('echo at last', {
          connection: { host: '127.0.0.1', port: late.port, user: late.user, privateKey: late.userKey, hostKey: late.hostKey },
        }),
      );
      await sleep(4_000);
      await late.start();
      expect((await waiting).outputs['stdout']?.value).toBe('at last');
    } finally {
      await late.close();
    }
  });

  it('is given up after dialErrorLimit failures', async () => {
    const nobody = await TestSshd.prepare();
    await nobody.close();
    const refused = commandWith('true', { connection: { ...connection(), port: nobody.port, dialErrorLimit: 1 } });
    await expect(stack.up(refused)).rejects.toThrow(/failed 2 time\(s\)[^]*connection refused/);
  });
});

describe('a remote.Command that goes wrong', () => {
  it('fails the update with its exit code and its output', async () => {
    await expect(stack.up(commandWith('echo reason >&2; exit 3'))).rejects.toThrow(/status 3[^]*reason/);
  });

  it('says what to do about a variable that the server does not let in', async () => {
    await expect(stack.up(commandWith('true', { environment: { SECRET_PLAN: '1' } }))).rejects.toThrow(
      /does not accept the variable SECRET_PLAN: name it in AcceptEnv/,
    );
  });

  it('is ended, with all that it started, when its time is up', async () => {
    const late = () => {
      new remote.Command('late', { connection: connection(), create: `sleep 600 & echo $! > ${file('child')}; wait` }, { customTimeouts: { create: '10s' } });
      return Promise.resolve();
    };
    await expect(stack.up(late)).rejects.toThrow(/timed out/);
    expect(existsSync(`/proc/${read('child').trim()}`)).toBe(false);
  });
});

describe('remote.CopyToRemote', () => {
  const program = (text: string) => () => {
    const copy = (name: string, source: asset.Asset | asset.Archive, remotePath: string) =>
      new remote.CopyToRemote(name, { connection: connection(), source, remotePath });
    copy('text', new asset.StringAsset(text), file('there/deep/text'));
    copy('file', new asset.FileAsset(file('here/a')), file('there'));
    copy('renamed', new asset.FileAsset(file('here/a')), file('renamed'));
    copy('tree', new asset.FileArchive(file('here')), file('tree'));
    return Promise.resolve();
  };

  it('copies texts, files and directories, making what is missing', async () => {
    mkdirSync(file('here/sub'), { recursive: true });
    mkdirSync(file('there'), { recursive: true });
    writeFileSync(file('here/a'), 'A');
    writeFileSync(file('here/sub/b'), 'B');
    expect(await stack.preview(program('one'))).toMatchObject({ create: 4 });
    expect(existsSync(file('renamed'))).toBe(false);
    await stack.up(program('one'));
    expect(['there/deep/text', 'there/a', 'renamed', 'tree/here/a', 'tree/here/sub/b'].map(read)).toEqual([
      'one',
      'A',
      'A',
      'A',
      'B',
    ]);
  });

  it('copies again what changed, and only that', async () => {
    writeFileSync(file('renamed'), 'changed there');
    writeFileSync(file('here/sub/b'), 'B2');
    expect((await stack.up(program('two'))).changes).toMatchObject({ update: 2 });
    expect(['there/deep/text', 'tree/here/sub/b', 'renamed'].map(read)).toEqual(['two', 'B2', 'changed there']);
  });

  it('refuses a directory where a file is in the way', async () => {
    writeFileSync(file('obstacle'), '');
    const blocked = () => {
      new remote.CopyToRemote('blocked', {
        connection: connection(),
        source: new asset.FileArchive(file('here')),
        remotePath: file('obstacle'),
      });
      return Promise.resolve();
    };
    await expect(stack.up(blocked)).rejects.toThrow(/obstacle[^]*(not a directory|failure)/i);
  });
});

describe('remote.CopyFile', () => {
  it('copies a file', async () => {
    writeFileSync(file('plain'), 'plain');
    await stack.up(() => {
      new remote.CopyFile('copy', { connection: connection(), localPath: file('plain'), remotePath: file('copied') });
      return Promise.resolve();
    });
    expect(read('copied')).toBe('plain');
  });
});
