import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { build } from 'esbuild';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive, startTicksOf, thisProcess } from '../../../src/store/process-identity.js';
import { openBook, opened } from './book.js';

let dir: string;
let program: string;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'vmpool-crash-'));
  program = join(dir, 'commit-loop.mjs');
  await build({
    entryPoints: [join(process.cwd(), 'test/fast/store/commit-loop.ts')],
    outfile: program,
    bundle: true,
    platform: 'node',
    format: 'esm',
  });
});
const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(dir, { recursive: true });
});

/** Starts the loop; resolves when it has opened the store. */
const start = async (path: string): Promise<{ child: ChildProcess; lines: () => readonly string[] }> => {
  const child = spawn(process.execPath, [program, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  while (!text.includes('\n') && child.exitCode === null) await sleep(5);
  return { child, lines: () => text.split('\n').slice(0, -1) };
};

describe('kill -9 of a process that commits in a loop', () => {
  it('leaves a whole document, at least as new as the last acknowledged one, and no lock in the way', async () => {
    const path = join(dir, 'book.json');
    let before = 0;
    for (let round = 0; round < 8; round += 1) {
      const { child, lines } = await start(path);
      expect(lines()[0]).toBe(`open ${String(before)}`);
      await sleep(10 + ((round * 37) % 90));
      expect(await openBook(path)).toMatchObject({ kind: 'owned', pid: child.pid });
      child.kill('SIGKILL');
      await once(child, 'close');
      const acknowledged = Math.max(before, ...lines().slice(1).map(Number));
      const { document, store } = opened(await openBook(path));
      expect(document.n).toBeGreaterThanOrEqual(acknowledged);
      expect(document.note).toHaveLength(document.n % 5000);
      before = document.n;
      await store.close();
    }
    expect(before).toBeGreaterThan(0);
    expect(readdirSync(dir).filter((name) => /lock|tmp/.test(name))).toEqual([]);
  });
});

describe('a lock file', () => {
  const lockOf = (path: string, change: object): void => {
    writeFileSync(`${path}.lock`, JSON.stringify({ ...thisProcess(), nonce: 'n', ...change }));
  };

  it.each([
    ['a process that started at another time under the same pid', { ticks: 1 }],
    ['a process before the last boot', { boot: '00000000-0000-0000-0000-000000000000' }],
    ['a pid that is free', { pid: 4_194_303 }],
  ])('of %s is taken over', async (_name, change) => {
    const path = join(dir, 'stale.json');
    lockOf(path, change);
    const { store } = opened(await openBook(path));
    expect(JSON.parse(readFileSync(`${path}.lock`, 'utf8'))).toMatchObject({ pid: process.pid });
    await store.close();
    expect(readdirSync(dir).filter((name) => name.includes('stale'))).toEqual([]);
  });

  it('that no process of ours wrote whole is taken over, also with a dead claim beside it', async () => {
    const path = join(dir, 'stale.json');
    writeFileSync(`${path}.lock`, '{"pi');
    writeFileSync(`${path}.lock.claim`, JSON.stringify({ ...thisProcess(), nonce: 'n', ticks: 1 }));
    await opened(await openBook(path)).store.close();
  });

  it('of another machine is respected', async () => {
    const path = join(dir, 'elsewhere.json');
    lockOf(path, { boot: '00000000-0000-0000-0000-000000000000', host: 'elsewhere', pid: 7 });
    expect(await openBook(path)).toMatchObject({ kind: 'owned', pid: 7, host: 'elsewhere' });
    rmSync(`${path}.lock`);
  });

  it('found stale by many at once is taken over by one', async () => {
    const path = join(dir, 'race.json');
    lockOf(path, { ticks: 1 });
    const results = await Promise.all(Array.from({ length: 20 }, () => openBook(path)));
    const winners = results.filter((result) => result.kind === 'created');
    expect(winners).toHaveLength(1);
    expect(results.filter((result) => result.kind === 'owned')).toHaveLength(19);
    for (const winner of winners) await opened(winner).store.close();
  });

  it('knows its own process as alive and a zombie as gone', () => {
    expect(isAlive(thisProcess())).toBe(true);
    expect(startTicksOf(4_194_303)).toBeNull();
  });
});
