import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readHistory } from '../../../src/store/history-read.js';

const line = (at: number, fields: object): string => `${JSON.stringify({ at, kind: 'vm', ...fields })}\n`;
const never = new AbortController().signal;

describe('reading the history', () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'vmpool-history-'));
    writeFileSync(
      join(dir, 'history.2.jsonl'),
      line(1, { kind: 'request', job: '28.server', lease: 'l1', user: 'alice', detail: 'asked' }) +
        '{"at":2,"kind":"cut off by a cra\n' +
        line(3, { kind: 'request', job: '280.server', lease: 'l2', detail: 'asked' }),
    );
    writeFileSync(
      join(dir, 'history.1.jsonl'),
      line(4, { member: 'p-1', job: '28.server', lease: 'l1', detail: 'Free -> Busy' }) +
        line(5, { kind: 'staged', member: 'p-1', lease: 'l1', ms: 12, detail: 'ready' }) +
        line(6, { kind: 'staged', member: 'p-10', lease: 'l2', detail: 'ready' }),
    );
    // The newest line is not ended yet.
    writeFileSync(join(dir, 'history.jsonl'), line(7, { member: 'p-1', detail: 'gone' }).trimEnd());
    writeFileSync(
      join(dir, 'something-else.jsonl'),
      line(9, { member: 'p-1', detail: 'not of the history' }),
    );
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  const times = async (wish: Parameters<typeof readHistory>[1]): Promise<number[]> =>
    (await readHistory(dir, wish, never)).map(({ at }) => at);

  it('finds a VM in all files, oldest first, and no other whose name begins alike', async () => {
    expect(await times({ vm: 'p-1', most: 10 })).toEqual([4, 5, 7]);
  });

  it('finds a job, also by the number that qstat shows, with the lines that name its lease alone', async () => {
    expect(await times({ job: '28', most: 10 })).toEqual([1, 4, 5]);
    expect(await times({ job: '28.server', most: 10 })).toEqual([1, 4, 5]);
    expect(await times({ job: '2', most: 10 })).toEqual([]);
  });

  it('keeps the newest so many, and passes over a line that a crash cut off', async () => {
    expect(await times({ most: 2 })).toEqual([6, 7]);
    expect(await times({ most: 100 })).toEqual([1, 3, 4, 5, 6, 7]);
  });

  it('finds the decisions alone, all or of one kind', async () => {
    const other = mkdtempSync(join(tmpdir(), 'vmpool-history-'));
    try {
      writeFileSync(
        join(other, 'history.jsonl'),
        line(1, { member: 'p-1', decision: 'made', reason: 'spare' }) +
          line(2, { member: 'p-1', detail: 'building -> Free' }) +
          line(3, { member: 'p-1', decision: 'ended', reason: 'idle' }) +
          line(4, { member: 'p-2', decision: 'ended', reason: 'killed' }),
      );
      const found = async (wish: Omit<Parameters<typeof readHistory>[1], 'most'>): Promise<number[]> =>
        (await readHistory(other, { ...wish, most: 10 }, never)).map(({ at }) => at);
      expect(await found({ decision: 'any' })).toEqual([1, 3, 4]);
      expect(await found({ decision: 'ended' })).toEqual([3, 4]);
      expect(await found({ decision: 'any', vm: 'p-1' })).toEqual([1, 3]);
      expect(await readHistory(other, { decision: 'ended', most: 1 }, never)).toMatchObject([
        { at: 4, decision: 'ended', reason: 'killed' },
      ]);
    } finally {
      rmSync(other, { recursive: true });
    }
  });

  it('says so when the directory cannot be read', async () => {
    await expect(readHistory(join(dir, 'none'), { most: 1 }, never)).rejects.toThrow('ENOENT');
  });

  it('ends with its signal', async () => {
    await expect(readHistory(dir, { most: 1 }, AbortSignal.abort())).rejects.toThrow();
  });
});
