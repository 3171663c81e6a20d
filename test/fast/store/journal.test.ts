import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { currentDocument } from '../../../src/store/current.js';
import { encode } from '../../../src/store/envelope.js';
import { nodeFiles } from '../../../src/store/files.js';
import { applyPatch, diff } from '../../../src/store/patch.js';
import { recoverStore } from '../../../src/store/recover.js';
import { openBook, opened, stored } from './book.js';
import { fixedClock } from './book.js';

let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'vmpool-journal-'));
  path = join(dir, 'book.json');
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

const journals = (): string[] =>
  readdirSync(dir)
    .filter((name) => name.includes('.journal-'))
    .map((name) => join(dir, name));

/** A store whose process was killed after these commits: the first is the snapshot, the others are in the journal. */
const killedAfter = async (commits: number): Promise<string> => {
  const { store } = opened(await openBook(path));
  for (let n = 1; n <= commits; n += 1) await store.commit({ n, note: `commit ${String(n)}` });
  rmSync(`${path}.lock`);
  const [journal = ''] = journals();
  return journal;
};

const flip = (bytes: Buffer, bit: number): Buffer => {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
  return copy;
};

describe('a journal', () => {
  it('that a kill left unfinished is removed at the next start', async () => {
    await killedAfter(2);
    writeFileSync(`${path}.journal-0123456789abcdef.tmp`, '{"format":');
    const { store, document } = opened(await openBook(path));
    expect(document).toMatchObject({ n: 2 });
    expect(readdirSync(dir).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    await store.close();
  });

  it('is read after its snapshot, line by line with jq, and taken into the next one', async () => {
    const journal = await killedAfter(3);
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ document: { n: 1 } });
    const lines = readFileSync(journal, 'utf8').trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { format: 'vmpool-journal', version: 1, after: null },
      { n: 1, patch: [{ op: 'replace', path: '/n', value: 2 }, { path: '/note' }] },
      { n: 2, patch: [{ op: 'replace', path: '/n', value: 3 }, { path: '/note' }] },
    ]);
    // What a backup takes beside a running service.
    const current = await currentDocument(nodeFiles, path, 1);
    expect(current).toMatchObject({ kind: 'read', envelope: { json: '{"n":3,"note":"commit 3"}' } });
    const again = opened(await openBook(path));
    expect(again.document).toEqual({ n: 3, note: 'commit 3' });
    await again.store.commit({ n: 4, note: '' });
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ document: { n: 4 } });
    expect(journals()).toHaveLength(1);
    expect(journals()).not.toContain(journal);
    await again.store.close();
  });

  it('ends with its snapshot once it is large or old, so that neither file grows without bound', async () => {
    const clock = fixedClock();
    const { store } = opened(await openBook(path, { clock }));
    let largest = 0;
    for (let n = 1; n <= 60; n += 1) {
      await store.commit({ n, note: String(n % 10).repeat(100_000) });
      largest = Math.max(largest, ...journals().map((file) => readFileSync(file).length));
    }
    expect(largest).toBeGreaterThan(500_000);
    expect(largest).toBeLessThan(1_400_000);
    await store.commit({ n: 61, note: '' });
    const before = journals();
    clock.advance(61_000);
    await store.commit({ n: 62, note: '' });
    expect(journals()).not.toEqual(before);
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ document: { n: 62 } });
    await store.close();
  });

  it('whose last line was cut off by a crash has every commit before it', async () => {
    const journal = await killedAfter(3);
    const good = readFileSync(journal);
    const last = good.lastIndexOf(10, good.length - 2) + 1;
    for (let length = last; length < good.length; length += 7) {
      writeFileSync(journal, good.subarray(0, length));
      expect((await stored(path)).n).toBe(2);
      // Some file systems leave zeros where a write did not come through.
      writeFileSync(journal, Buffer.concat([good.subarray(0, length), Buffer.alloc(100)]));
      expect((await stored(path)).n).toBe(2);
    }
    // Nothing but the end of the line is missing: the commit is there.
    writeFileSync(journal, good.subarray(0, good.length - 1));
    expect((await stored(path)).n).toBe(3);
  });

  it('that ends within a line is told, because commits before that may be missing too', async () => {
    const journal = await killedAfter(4);
    const good = readFileSync(journal);
    expect(await openBook(path)).toMatchObject({ kind: 'opened', cutOff: false });
    rmSync(`${path}.lock`);
    for (let length = good.indexOf(10) + 2; length < good.length; length += 11) {
      const atLineEnd = good[length - 1] === 10;
      writeFileSync(journal, good.subarray(0, length));
      const again = await openBook(path);
      expect(again).toMatchObject({ kind: 'opened', cutOff: !atLineEnd });
      rmSync(`${path}.lock`);
    }
    const again = opened(await openBook(path));
    await again.store.commit({ n: 9, note: '' });
    await again.store.close();
    expect(await openBook(path)).toMatchObject({ kind: 'opened', cutOff: false });
  });

  it('is known to be damaged whichever bit of it is flipped, and not touched', async () => {
    const journal = await killedAfter(3);
    const good = readFileSync(journal);
    for (let bit = 0; bit < good.length * 8; bit += 3) {
      const bad = flip(good, bit);
      writeFileSync(journal, bad);
      expect(await openBook(path)).toMatchObject({
        kind: 'damaged',
        why: expect.stringMatching(/journal/),
        howToRecover: expect.stringContaining('before the damage'),
      });
      expect(readFileSync(journal).equals(bad)).toBe(true);
    }
  });

  it.each([
    ['a line is missing', (lines: string[]) => [lines[0], lines[2], '']],
    ['lines change places', (lines: string[]) => [lines[0], lines[2], lines[1], '']],
    ['a line stands twice', (lines: string[]) => [lines[0], lines[1], lines[1], lines[2], '']],
    ['it is empty', () => []],
    ['it is cut off in its first line', (lines: string[]) => [lines[0]?.slice(0, 40)]],
    ['zeros stand in its middle', (lines: string[]) => [lines[0], '\0'.repeat(50), lines[2], '']],
  ])('is known to be damaged when %s', async (_what, change) => {
    const journal = await killedAfter(3);
    writeFileSync(journal, change(readFileSync(journal, 'utf8').split('\n')).join('\n'));
    expect(await openBook(path)).toMatchObject({ kind: 'damaged', why: expect.stringContaining(journal) });
  });

  it('that is gone is missed', async () => {
    const journal = await killedAfter(2);
    rmSync(journal);
    expect(await openBook(path)).toMatchObject({ kind: 'damaged', why: expect.stringContaining('is gone') });
  });

  it('that lies beside an older snapshot, or alone, is noticed', async () => {
    await killedAfter(2);
    const older = readFileSync(path);
    const again = opened(await openBook(path));
    await again.store.commit({ n: 8, note: '' });
    await again.store.commit({ n: 9, note: '' });
    rmSync(`${path}.lock`);
    const newer = readFileSync(path);
    writeFileSync(path, older);
    expect(await openBook(path)).toMatchObject({ kind: 'damaged', why: expect.stringContaining('journal') });
    writeFileSync(path, newer);
    expect((await stored(path)).n).toBe(9);
    rmSync(path);
    rmSync(`${path}.1`, { force: true });
    rmSync(`${path}.2`, { force: true });
    expect(await openBook(path)).toMatchObject({ kind: 'damaged', why: expect.stringContaining('gone') });
  });

  it('of which some is whole is what recovery puts back: it is newer than any copy', async () => {
    const journal = await killedAfter(3);
    const good = readFileSync(journal);
    writeFileSync(journal, flip(good, (good.length - 20) * 8));
    const done = await recoverStore({ path, journalSince: 1, from: 'backup', clock: fixedClock() });
    expect(done).toMatchObject({
      kind: 'recovered',
      restored: { path },
      setAside: [expect.anything(), expect.stringContaining('.journal-')],
    });
    const again = await openBook(path);
    expect(again).toMatchObject({ kind: 'opened', document: { n: 2 }, restored: true });
    await opened(again).store.close();
  });
});

describe('the format before there was a journal', () => {
  const old = (n: number): string =>
    encode({
      version: 1,
      savedAt: '2026-11-23T00:00:00.000Z',
      origin: 'commit',
      json: JSON.stringify({ n, note: '' }),
    });
  const format = { version: 2, migrations: { 1: (document: unknown) => document }, journalSince: 2 };

  it('is read, kept as a copy, and followed by a snapshot with a journal', async () => {
    writeFileSync(path, old(7));
    const first = opened(await openBook(path, format));
    expect(first).toMatchObject({ kind: 'opened', document: { n: 7 }, restored: false });
    expect(readFileSync(`${path}.1`, 'utf8')).toBe(old(7));
    await first.store.commit({ n: 8, note: '' });
    await first.store.commit({ n: 9, note: '' });
    rmSync(`${path}.lock`);
    const again = opened(await openBook(path, format));
    expect(again.document.n).toBe(9);
    await again.store.close();
  });

  it('is what an older program expects: it refuses the newer one by name, and changes nothing', async () => {
    const { store } = opened(await openBook(path, format));
    await store.commit({ n: 1, note: '' });
    await store.commit({ n: 2, note: '' });
    rmSync(`${path}.lock`);
    const before = readFileSync(path);
    // The header of version 1, read as the program of that time reads it: before it looks for any journal.
    expect(await openBook(path, { version: 1, migrations: {}, journalSince: 1 })).toMatchObject({
      kind: 'damaged',
      why: expect.stringContaining('newer VM Pool (version 2, this one knows up to 1)'),
    });
    expect(readFileSync(path).equals(before)).toBe(true);
  });
});

describe('a patch', () => {
  const value = fc.oneof(
    fc.integer(),
    fc.string(),
    fc.constant(null),
    fc.array(fc.integer(), { maxLength: 3 }),
    fc.record({ a: fc.integer(), b: fc.option(fc.string(), { nil: undefined }) }),
  );
  const document = fc.record({
    at: fc.integer(),
    shape: fc.option(value, { nil: null }),
    members: fc.dictionary(
      fc.oneof(fc.string(), fc.constantFrom('constructor', '__proto__', 'toString')),
      value,
    ),
  });
  const json = (what: unknown): unknown => JSON.parse(JSON.stringify(what));

  it('leads from any document to any other one, by way of JSON', () => {
    fc.assert(
      fc.property(document, document, (before, after) => {
        expect(applyPatch(json(before), json(diff(before, after)) as ReturnType<typeof diff>)).toEqual(
          json(after),
        );
        expect(diff(after, after)).toEqual([]);
      }),
    );
  });

  it('names only what changed, however large the rest', () => {
    const spec = { flavor: 'x' };
    const many = Object.fromEntries(
      Array.from({ length: 500 }, (_, n) => [`m/${String(n)}~`, { n, spec }] as const),
    );
    const { 'm/9~': _gone, ...rest } = many;
    const changed = { ...rest, 'm/7~': { n: -1, spec } };
    expect(diff({ many }, { many: changed })).toEqual([
      { op: 'remove', path: '/many/m~19~0' },
      { op: 'replace', path: '/many/m~17~0/n', value: -1 },
    ]);
  });

  it.each([
    [{ op: 'replace', path: '/no', value: 1 }],
    [{ op: 'remove', path: '/no' }],
    [{ op: 'add', path: '/n', value: 1 }],
    [{ op: 'replace', path: '/n/deeper', value: 1 }],
  ] as const)('that does not fit is refused: %j', (operation) => {
    expect(() => applyPatch({ n: 1 }, [operation])).toThrow(/n/);
  });
});
