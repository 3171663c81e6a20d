import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createEngine } from '../../../src/engine/client.js';
import type { CallLimits } from '../../../src/engine/limits.js';
import type { CellWish, Engine } from '../../../src/engine/port.js';
import type { CellName } from '../../../src/pool/model.js';

/**
 * Stands for the engine process. What it does with a call is told by the cell's name.
 */
const stub = `
const answers = {
  nonsense: (id) => ({ type: 'converged', id, result: 'PASSWORD' }),
  secret: (id) => ({ type: 'converged', id, result: { ok: false, state: null, kind: 'pulumi', message: 'login with PASSWORD failed' } }),
  good: (id) => ({ type: 'converged', id, result: { ok: true, state: { instances: [], lostCreates: [], unlisted: [] } } }),
};
process.on('message', (message) => {
  if (message.type === 'close' && !process.env.OS_STUCK) process.exit(0);
  if (message.type === 'poolOutputs') process.send({ type: 'outputs', id: message.id, outputs: process.pid });
  if (message.type !== 'converge') return;
  const { id, wish } = message;
  if (wish.cell === 'dies') { process.stderr.write('out of memory near PASSWORD', () => process.exit(3)); return; }
  if (wish.cell === 'event') {
    process.send({ type: 'event', id, event: { type: 'created' } });
    process.send({ type: 'nothing known' });
    process.send('neither');
    process.send(answers.good(id));
  }
  const answer = answers[wish.cell];
  if (answer) process.send(answer(id));
});
process.on('disconnect', () => process.exit(0));
`.replaceAll('PASSWORD', 'geheimes-wort');

/** Resolves when the process is gone and reaped, which a kill does not wait for. */
const gone = async (pid: number): Promise<void> => {
  while (existsSync(`/proc/${String(pid)}`)) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};

describe("the service's side of the engine", () => {
  let directory: string;
  let engines: Engine[];
  const never = new AbortController().signal;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'vmpool-client-'));
    engines = [];
    writeFileSync(join(directory, 'stub.mjs'), stub);
    writeFileSync(join(directory, 'passphrase'), 'correct horse\n');
  });
  afterEach(async () => {
    await Promise.all(engines.map((engine) => engine.close()));
    rmSync(directory, { recursive: true });
  });

  const open = async (limits: Partial<CallLimits> = {}, more: Record<string, string> = {}): Promise<Engine> => {
    const engine = await createEngine({
      repoRoot: directory,
      stateDir: directory,
      pool: 'p',
      installation: directory,
      pulumi: { bin: '/nowhere/bin/pulumi', home: '/nowhere' },
      backendUrl: `file://${directory}`,
      passphraseFile: join(directory, 'passphrase'),
      cloudEnv: { OS_PASSWORD: 'geheimes-wort', ...more },
      maxParallel: 2,
      createTimeoutMs: 1000,
      processPath: join(directory, 'stub.mjs'),
      limits,
    });
    engines.push(engine);
    return engine;
  };
  const wish = (cell: string): CellWish => ({ cell: cell as CellName, members: [], retire: [] });
  const converge = (engine: Engine, cell: string, signal = never) =>
    engine.converge(wish(cell), () => undefined, signal);

  it('ends a call whose answer makes no sense, alone, and without its secrets', async () => {
    const engine = await open();
    const others = converge(engine, 'never');
    const result = await converge(engine, 'nonsense');
    expect(result).toMatchObject({ ok: false, state: null, message: expect.stringContaining('makes no sense') });
    expect(await converge(engine, 'good')).toMatchObject({ ok: true });
    await engine.close();
    expect(await others).toMatchObject({ ok: false });
  });

  it('goes on when an event makes no sense', async () => {
    const engine = await open();
    expect(await converge(engine, 'event')).toMatchObject({ ok: true });
  });

  it('lets no secret through, neither in a result nor in the last words of the process', async () => {
    const engine = await open();
    const results = [await converge(engine, 'secret'), await converge(engine, 'dies')];
    expect(results).toMatchObject([
      { ok: false, kind: 'pulumi', message: 'login with [redacted] failed' },
      { ok: false, kind: 'engine', message: 'the engine process ended with 3: out of memory near [redacted]' },
    ]);
  });

  it('answers an aborted call soon, and goes on with the same process', async () => {
    const engine = await open({ abortAnswerMs: 50 });
    const before = await engine.poolOutputs(never);
    const stop = new AbortController();
    const stuck = converge(engine, 'never', stop.signal);
    stop.abort();
    expect(await stuck).toMatchObject({ ok: false, message: expect.stringContaining('aborted') });
    expect(await engine.poolOutputs(never)).toBe(before);
  });

  it('kills a process that does not bring an aborted call to its end', async () => {
    const engine = await open({ abortAnswerMs: 50, abortEndMs: 100 });
    const stop = new AbortController();
    const [aborted, other] = [converge(engine, 'never', stop.signal), converge(engine, 'never')];
    stop.abort();
    await aborted;
    expect(await other).toMatchObject({ ok: false, message: expect.stringContaining('stuck') });
    expect(await converge(engine, 'good')).toMatchObject({ ok: true });
  });

  it('kills a process that stopped when the time of a call is over, and starts another', async () => {
    // The same limit holds for the next process, which on a busy machine takes a second to start.
    const engine = await open({ cellMs: 4_000, otherMs: 4_000 });
    const pid = Number(await engine.poolOutputs(never));
    process.kill(pid, 'SIGSTOP');
    const [cell, outputs] = await Promise.allSettled([converge(engine, 'good'), engine.poolOutputs(never)]);
    expect(cell).toMatchObject({ value: { ok: false, message: expect.stringContaining('stuck') } });
    expect(outputs).toMatchObject({ reason: { message: expect.stringContaining('stuck') } });
    await gone(pid);
    expect(await converge(engine, 'good')).toMatchObject({ ok: true });
  });

  it('closes within its limit, also when the process does not', async () => {
    for (const stop of ['SIGSTOP', null] as const) {
      const engine = await open({ closeMs: 200, sweepMs: 200 }, { OS_STUCK: 'yes' });
      const pid = Number(await engine.poolOutputs(never));
      const call = converge(engine, 'never');
      if (stop !== null) {
        process.kill(pid, stop);
      }
      await engine.close();
      expect(await call).toMatchObject({ ok: false, message: expect.stringContaining('did not close') });
      await gone(pid);
    }
  });
});
