import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { janitorScript } from '../../src/demo/janitor.js';
import { WorkerSandbox } from '../mom/worker-sandbox.js';

const minutes = 60_000;

const namespaceOf = (pid: number | undefined): string => readlinkSync(`/proc/${String(pid)}/ns/mnt`);

/** A process in a mount namespace of its own, which has it when this resolves. */
const inOwnNamespace = async (): Promise<ChildProcess> => {
  const child = spawn('unshare', ['--mount', 'sh', '-c', 'echo; exec sleep 300'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await once(child.stdout, 'data');
  return child;
};

const isAlive = (child: ChildProcess): boolean => child.exitCode === null && child.signalCode === null;

describe('what cleans up after a demo that was killed', () => {
  const directory = mkdtempSync(join(tmpdir(), 'vmpool-janitor-'));
  const bystanders: ChildProcess[] = [];
  let live: WorkerSandbox;
  let inside: ChildProcess;
  let namesake: ChildProcess | undefined;

  beforeAll(async () => {
    live = await WorkerSandbox.start();
    inside = spawn(...live.enter('sleep', '300'), { stdio: 'ignore' });
    const gone = await WorkerSandbox.start();
    const number = namespaceOf(gone.pid);
    await gone.stop();
    // The kernel gives the number to another namespace soon.
    while (namesake === undefined && bystanders.length < 200) {
      const bystander = await inOwnNamespace();
      bystanders.push(bystander);
      if (namespaceOf(bystander.pid) === number) namesake = bystander;
    }
    writeFileSync(join(directory, 'worker-sandboxes'), `${gone.directory}/\n${live.directory}/\n`);
    const janitor = spawn('sh', ['-c', janitorScript, 'vmpool-demo-janitor', directory, 'no'], {
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    janitor.stdin.end();
    await once(janitor, 'exit');
  }, 2 * minutes);
  afterAll(async () => {
    for (const child of [inside, ...bystanders].filter(isAlive)) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    await live.stop();
    rmSync(directory, { recursive: true, force: true });
  }, minutes);

  it('ends what ran on its workers, and removes its directory and theirs', () => {
    expect(isAlive(inside)).toBe(false);
    expect([directory, live.directory].filter((path) => existsSync(path))).toEqual([]);
  });

  it('leaves alone who has the number of a namespace that was a worker of its', () => {
    expect(namesake).toBeDefined();
    expect(bystanders.filter((one) => !isAlive(one))).toEqual([]);
  });
});
