import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { takeLock } from '../../../scripts/engine/lock.mjs';

const directory = mkdtempSync(join(tmpdir(), 'vmpool-lock-'));
afterAll(() => {
  rmSync(directory, { recursive: true });
});

describe('a lock between runs of one thing', () => {
  const said: string[] = [];
  const options = { waitMs: 10_000, say: (text: string): unknown => said.push(text), pollMs: 5, what: 'run' };

  it('is waited for, and said so once', async () => {
    const file = join(directory, 'waited');
    const first = await takeLock(file, options);
    const second = takeLock(file, options);
    setTimeout(first, 50);
    (await second)();
    expect(said.splice(0)).toEqual([`waiting for another run (pid ${String(process.pid)})`]);
    expect(existsSync(file)).toBe(false);
  });

  it('is waited for by several of one process, and each has it', async () => {
    const file = join(directory, 'several');
    const first = await takeLock(file, options);
    const others = Array.from({ length: 5 }, async () => {
      const release = await takeLock(file, options);
      expect(existsSync(file)).toBe(true);
      release();
    });
    first();
    await Promise.all(others);
    expect(readdirSync(directory)).toEqual([]);
    said.splice(0);
  });

  it('is given up after its time, with what to do, and at once when the wait is stopped', async () => {
    const file = join(directory, 'held');
    const release = await takeLock(file, options);
    await expect(takeLock(file, { ...options, waitMs: 20 })).rejects.toThrow(
      /Another run .* still holds .*Wait for it or end it/,
    );
    const stop = new AbortController();
    const waiting = takeLock(file, { ...options, pollMs: 60_000, signal: stop.signal });
    setTimeout(() => {
      stop.abort();
    }, 20);
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
    release();
    said.splice(0);
  });

  it('is taken over from a process that is gone', async () => {
    const file = join(directory, 'left');
    const release = await takeLock(file, options);
    const owner = JSON.parse(readFileSync(file, 'utf8')) as object;
    release();
    const { pid } = spawnSync('true');
    writeFileSync(file, JSON.stringify({ ...owner, pid }));
    (await takeLock(file, options))();
    expect(said.splice(0)).toEqual([
      `taking over the lock of a run that ended without releasing it (pid ${String(pid)})`,
    ]);
  });
});
