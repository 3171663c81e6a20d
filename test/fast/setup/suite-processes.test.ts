import { afterEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endProcessesOf, processesOf, runLimited } from '../../../scripts/suite-processes.mjs';

const runs: string[] = [];
const newRun = (): string => {
  const id = randomUUID();
  runs.push(id);
  return id;
};
afterEach(async () => {
  for (const id of runs.splice(0)) await endProcessesOf(id);
});

const sh = (
  script: string,
  runId: string,
  more: { limitMs?: number; signal?: AbortSignal } = {},
): ReturnType<typeof runLimited> & { readonly said: string[] } => {
  const said: string[] = [];
  const running = runLimited('sh', ['-c', script], {
    cwd: '/',
    env: process.env,
    runId,
    limitMs: 30_000,
    onOutput: (chunk) => said.push(chunk.toString()),
    ...more,
  });
  return Object.assign(running, { said });
};
const until = async (holds: () => boolean): Promise<void> => {
  for (let turn = 0; turn < 500 && !holds(); turn += 1)
    await new Promise((resolve) => setTimeout(resolve, 10));
  expect(holds()).toBe(true);
};

describe('a suite that runs', () => {
  it('tells its exit code, and why when there is none', async () => {
    expect(await sh('exit 0', newRun())).toEqual({ code: 0, why: null });
    expect(await sh('exit 3', newRun())).toEqual({ code: 3, why: null });
    expect(await sh('kill -9 $$', newRun())).toEqual({ code: null, why: 'ended by SIGKILL' });
    const none = await runLimited('/none', [], { cwd: '/', env: {}, runId: newRun(), limitMs: 1_000 });
    expect(none).toEqual({ code: null, why: expect.stringContaining('ENOENT') });
  });

  it('ends at its limit with its whole group', async () => {
    const id = newRun();
    const result = await sh('sleep 60 & sleep 60', id, { limitMs: 200 });
    expect(result).toEqual({ code: null, why: 'ended after its limit of 0.2 s' });
    await until(() => processesOf(id).length === 0);
  });

  it('takes what is left of its group along when it ends by itself', async () => {
    const id = newRun();
    expect(await sh('sleep 60 & exit 0', id)).toMatchObject({ code: 0 });
    await until(() => processesOf(id).length === 0);
  });

  it('ends when it is interrupted', async () => {
    const stop = new AbortController();
    const running = sh('sleep 60', newRun(), { signal: stop.signal });
    stop.abort();
    expect(await running).toEqual({ code: null, why: 'interrupted' });
  });
});

describe('what a suite leaves behind', () => {
  it('is found and ended also in a session of its own with another parent; other runs are not touched', async () => {
    const [mine, other] = [newRun(), newRun()];
    const dir = mkdtempSync(join(tmpdir(), 'vmpool-suite-'));
    const away = (seconds: number): string =>
      `setsid sh -c 'touch ${dir}/${String(seconds)}; exec sleep ${String(seconds)}' >/dev/null 2>&1 &
       while [ ! -e ${dir}/${String(seconds)} ]; do sleep 0.02; done`;
    await sh(away(61), mine);
    await sh(away(62), other);
    await until(() => processesOf(mine).some(({ command }) => command === 'sleep 61'));
    await until(() => processesOf(other).some(({ command }) => command === 'sleep 62'));
    const [left] = await endProcessesOf(mine);
    expect(left?.command).toBe('sleep 61');
    expect(existsSync(`/proc/${String(left?.pid)}/environ`) && processesOf(mine).length > 0).toBe(false);
    expect(processesOf(other)).toHaveLength(1);
    expect(await endProcessesOf(randomUUID())).toEqual([]);
    rmSync(dir, { recursive: true });
  });
});
