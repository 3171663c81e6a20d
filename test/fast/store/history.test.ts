import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openHistory } from '../../../src/store/history.js';
import { MemoryFiles } from './memory-files.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'vmpool-history-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

const linesOf = (name: string): { n: number; kind: string }[] =>
  readFileSync(join(dir, name), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { n: number; kind: string });

describe('the history', () => {
  it('holds every line after close, in order, in files of bounded size, of which the oldest go', async () => {
    const history = await openHistory({ dir, maxBytes: 500, keep: 2 });
    for (let n = 0; n < 100; n += 1) history.append({ at: n, kind: 'test', n });
    await history.close();
    expect(readdirSync(dir).sort()).toEqual(['history.1.jsonl', 'history.2.jsonl', 'history.jsonl']);
    for (const name of readdirSync(dir)) expect(statSync(join(dir, name)).size).toBeLessThanOrEqual(500);
    const all = ['history.2.jsonl', 'history.1.jsonl', 'history.jsonl'].flatMap(linesOf).map(({ n }) => n);
    expect(all).toEqual(Array.from({ length: all.length }, (_, k) => 100 - all.length + k));
  });

  it('writes a line that comes just when an earlier one has been written', async () => {
    const files = new MemoryFiles();
    const history = await openHistory({ dir: '/state', maxBytes: 500, keep: 1, files });
    const path = '/state/history.jsonl';
    for (let ticks = 0; ticks < 6; ticks += 1) {
      const before = files.get(path)?.length ?? 0;
      history.append({ at: 1, kind: 'a' });
      for (let turn = 0; turn < 100 && (files.get(path)?.length ?? 0) === before; turn += 1)
        await Promise.resolve();
      for (let tick = 0; tick < ticks; tick += 1) await Promise.resolve();
      history.append({ at: 2, kind: 'b' });
      await new Promise((resolve) => setImmediate(resolve));
      expect(files.get(path)?.toString().match(/"b"/g)).toHaveLength(ticks + 1);
    }
    await history.close();
  });

  it('goes on after a line that a crash cut off', async () => {
    writeFileSync(join(dir, 'history.jsonl'), '{"at":1,"kind":"a"}\n{"at":2,"ki');
    const history = await openHistory({ dir, maxBytes: 5000, keep: 1 });
    history.append({ at: 3, kind: 'b' });
    await history.close();
    expect(readFileSync(join(dir, 'history.jsonl'), 'utf8').split('\n')).toEqual([
      '{"at":1,"kind":"a"}',
      '{"at":2,"ki',
      '{"at":3,"kind":"b"}',
      '',
    ]);
  });

  it('drops and counts what memory does not hold', async () => {
    const history = await openHistory({ dir, maxBytes: 50_000, keep: 1, maxBufferedBytes: 400 });
    for (let n = 0; n < 100; n += 1) history.append({ at: n, kind: 'test', n });
    await new Promise((resolve) => setTimeout(resolve, 50));
    history.append({ at: 100, kind: 'test', n: 100 });
    await history.close();
    const lines = linesOf('history.jsonl');
    expect(lines.length).toBeLessThan(20);
    const note = lines.find(({ kind }) => kind === 'history-dropped');
    expect(note).toMatchObject({ lines: 100 - (lines.length - 2) });
  });

  it('warns once about a disk that refuses, keeps the lines and writes them at close', async () => {
    const files = new MemoryFiles();
    const warnings: string[] = [];
    const history = await openHistory({
      dir: '/h',
      maxBytes: 5000,
      keep: 1,
      files,
      onWarning: (message) => warnings.push(message),
    });
    files.failAt = { call: files.calls + 1, code: 'ENOSPC' };
    history.append({ at: 1, kind: 'a' });
    await new Promise((resolve) => setTimeout(resolve, 20));
    history.append({ at: 2, kind: 'b' });
    await history.close();
    expect(warnings).toEqual([expect.stringContaining('ENOSPC')]);
    const lines = files.get('/h/history.jsonl')?.toString().split('\n') ?? [];
    expect(lines.slice(-3)).toEqual(['{"at":1,"kind":"a"}', '{"at":2,"kind":"b"}', '']);
  });
});
