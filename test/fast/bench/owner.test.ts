import { afterAll, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { endProcessesOf, processesOf, runVariable } from '../../../scripts/suite-processes.mjs';

const directory = mkdtempSync(join(tmpdir(), 'vmpool-owner-'));
const runs: string[] = [];
afterAll(async () => {
  for (const run of runs) await endProcessesOf(run);
  rmSync(directory, { recursive: true, force: true });
});

interface Told {
  readonly dir: string;
}

/** A benchmark whose work is `body`, which may use `owner` and `say`; resolves with what it said and how it can be ended. */
async function bench(body: string): Promise<{
  readonly told: Told;
  readonly run: string;
  readonly kill: (signal: NodeJS.Signals) => void;
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null; stderr: string }>;
}> {
  const file = join(directory, `${randomUUID()}.mjs`);
  const module = pathToFileURL(join(process.cwd(), 'bench', 'owner.mjs')).href;
  writeFileSync(
    file,
    `import { owned } from ${JSON.stringify(module)};
const say = (told) => console.log(JSON.stringify(told));
const forEver = () => new Promise((resolve) => setTimeout(resolve, 120_000));
await owned(async (owner) => {
  const dir = owner.directory();
  ${body}
});
`,
  );
  const run = randomUUID();
  runs.push(run);
  const child = spawn(process.execPath, [file], { env: { ...process.env, [runVariable]: run } });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null; stderr: string }>(
    (resolve) => child.once('close', (code, signal) => resolve({ code, signal, stderr })),
  );
  const told = await new Promise<Told>((resolve, reject) => {
    child.stdout.once('data', (chunk: Buffer) => resolve(JSON.parse(chunk.toString()) as Told));
    void ended.then((how) => reject(new Error(`it has ended: ${how.stderr}`)));
  });
  return { told, run, kill: (signal) => void child.kill(signal), ended };
}

/** A child that has a child of its own which left for another session, and that ignores SIGTERM if it is told to. */
const family = (trap: string): string => `
  const child = owner.process('the family', 'sh', ['-c', '${trap} setsid sleep 300 & echo up; while :; do sleep 0.1; done']);
  await child.line((line) => line);
  say({ dir, pid: child.pid });`;

const until = async (what: string, holds: () => boolean): Promise<void> => {
  for (let n = 0; n < 600 && !holds(); n += 1) await new Promise((resolve) => setTimeout(resolve, 50));
  if (!holds()) throw new Error(`not in time: ${what}`);
};

describe('what a benchmark has opened', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('is gone after %s, the processes of its processes too', async (signal, code) => {
    const { told, run, kill, ended } = await bench(`${family('')} await forEver();`);
    expect(existsSync(told.dir)).toBe(true);
    kill(signal);
    expect(await ended).toMatchObject({ code });
    expect(existsSync(told.dir)).toBe(false);
    expect(processesOf(run)).toEqual([]);
  });

  it('is gone when the work has failed, and the failure is told', async () => {
    const { told, run, ended } = await bench(`${family('')} throw new Error('no such thing');`);
    const how = await ended;
    expect(how.code).toBe(1);
    expect(how.stderr).toContain('no such thing');
    expect(existsSync(told.dir)).toBe(false);
    expect(processesOf(run)).toEqual([]);
  });

  it('is gone when something fails that nobody waits for', async () => {
    const { told, run, ended } = await bench(
      `${family('')} setTimeout(() => { throw new Error('out of turn'); }, 1); await forEver();`,
    );
    expect(await ended).toMatchObject({ code: 1, stderr: expect.stringContaining('out of turn') });
    expect(existsSync(told.dir)).toBe(false);
    expect(processesOf(run)).toEqual([]);
  });

  it('ends after a limit by SIGKILL when it does not listen to SIGTERM', async () => {
    const { told, run, ended } = await bench(`${family('trap "" TERM;')} await child.stop(200);`);
    expect(await ended).toMatchObject({ code: 0 });
    expect(existsSync(told.dir)).toBe(false);
    expect(processesOf(run)).toEqual([]);
  });

  it('ends when the benchmark itself is killed outright', async () => {
    const { told, run, kill, ended } = await bench(
      `const child = owner.process('alone', 'sh', ['-c', 'echo up; exec sleep 300']);
       await child.line((line) => line); say({ dir }); await forEver();`,
    );
    kill('SIGKILL');
    await ended;
    await until('the end of its child', () => processesOf(run).length === 0);
    // Nobody was left to remove it.
    rmSync(told.dir, { recursive: true, force: true });
  });

  it('is closed in the reverse order, the rest of it also when a part cannot be closed', async () => {
    const { told, ended } = await bench(`
      owner.defer('the first', () => console.error('closed 1'));
      owner.defer('the second', () => { throw new Error('stuck'); });
      owner.defer('the third', () => new Promise(() => {}), 100);
      owner.defer('the fourth', () => console.error('closed 4'));
      say({ dir });`);
    const { code, stderr } = await ended;
    expect(code).toBe(0);
    expect(stderr.split('\n').filter((line) => line !== '')).toEqual([
      'closed 4',
      'bench: the third was not closed: the third: not within 0.1 s',
      'bench: the second was not closed: stuck',
      'closed 1',
    ]);
    expect(existsSync(told.dir)).toBe(false);
  });

  it('refuses to open more once it is being closed', async () => {
    const { run, kill, ended } = await bench(`
      process.once('SIGTERM', () => setImmediate(() => {
        try { owner.process('late', 'sleep', ['300']); } catch (error) { console.error(error.message); }
      }));
      owner.defer('something slow', () => new Promise((resolve) => setTimeout(resolve, 200)));
      say({ dir });
      await forEver();`);
    kill('SIGTERM');
    expect(await ended).toMatchObject({
      code: 143,
      stderr: 'late came too late: everything is being closed\n',
    });
    expect(processesOf(run)).toEqual([]);
  });

  it('tells why a process that is waited for has not answered', async () => {
    const { ended } = await bench(`
      say({ dir });
      const child = owner.process('the mute', 'sh', ['-c', 'exit 3']);
      await child.line((line) => line).catch((error) => console.error(error.message));
      const slow = owner.process('the slow', 'sleep', ['300']);
      await slow.line((line) => line, 100).catch((error) => console.error(error.message));
      const failing = owner.process('the failing', 'sh', ['-c', 'echo because; exit 4']);
      await failing.done(10_000).catch((error) => console.error(error.message));`);
    expect((await ended).stderr.split('\n').slice(0, 4)).toEqual([
      'the mute has ended: exit code 3',
      'the answer of the slow: not within 0.1 s',
      'the failing: exit code 4',
      'because',
    ]);
  });
});
