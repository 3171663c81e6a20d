import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { recoverStore } from '../../../src/store/recover.js';
import { fixedClock, openBook, opened } from './book.js';

let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'vmpool-store-'));
  path = join(dir, 'state', 'book.json');
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

const saved = async (n: number): Promise<void> => {
  const { store } = opened(await openBook(path));
  await store.commit({ n, note: 'first' });
  await store.close();
};

describe('a store on a real file system', () => {
  it('starts with the initial document and writes nothing before the first commit', async () => {
    const result = opened(await openBook(path));
    expect(result.kind).toBe('created');
    expect(result.document).toEqual({ n: 0, note: '' });
    await result.store.close();
    expect(readdirSync(join(dir, 'state'))).toEqual([]);
  });

  it('gives back what was committed, in a file that only its owner may read and that jq understands', async () => {
    await saved(7);
    const result = await openBook(path);
    expect(result).toMatchObject({ kind: 'opened', document: { n: 7, note: 'first' }, restored: false });
    await opened(result).store.close();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({
      format: 'vmpool-store',
      version: 1,
      document: { n: 7 },
    });
  });

  it('refuses a second owner with the pid of the first, also inside one process, and admits one after close', async () => {
    const first = opened(await openBook(path));
    expect(await openBook(path)).toMatchObject({ kind: 'owned', pid: process.pid, path });
    await first.store.close();
    await opened(await openBook(path)).store.close();
  });

  it('refuses commits after close, and close may be called twice', async () => {
    const { store } = opened(await openBook(path));
    const last = store.commit({ n: 1, note: '' });
    const closing = store.close();
    await expect(store.commit({ n: 2, note: '' })).rejects.toThrow('closed');
    await Promise.all([last, closing, store.close()]);
    expect(opened(await openBook(path)).document.n).toBe(1);
  });

  it('keeps the last two generations as copies, renewed when an hour old and at the next start', async () => {
    const clock = fixedClock();
    const { store } = opened(await openBook(path, { clock }));
    const copied = (suffix: string): number =>
      (JSON.parse(readFileSync(path + suffix, 'utf8')) as { document: { n: number } }).document.n;
    await store.commit({ n: 1, note: '' });
    clock.advance(1000);
    await store.commit({ n: 2, note: '' });
    expect(copied('.1')).toBe(1);
    clock.advance(3_600_000);
    await store.commit({ n: 3, note: '' });
    clock.advance(3_600_000);
    await store.commit({ n: 4, note: '' });
    await store.close();
    expect([copied(''), copied('.1'), copied('.2')]).toEqual([4, 4, 3]);
  });

  it('removes what a crash left half written', async () => {
    await saved(1);
    writeFileSync(`${path}.tmp`, '{"form');
    writeFileSync(`${path}.lock.999999999-00112233.tmp`, '');
    await opened(await openBook(path)).store.close();
    expect(readdirSync(join(dir, 'state')).sort()).toEqual([
      'book.json',
      'book.json.1',
      expect.stringMatching(/^book\.json\.journal-[0-9a-f]{16}$/),
    ]);
  });
});

describe('a damaged store', () => {
  const flip = (bytes: Buffer, bit: number): Buffer => {
    const copy = Buffer.from(bytes);
    copy.writeUInt8(copy.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    return copy;
  };

  it('is recognised whichever bit of it is flipped, and never touched', async () => {
    await saved(7);
    const good = readFileSync(path);
    for (let bit = 0; bit < good.length * 8; bit += 5) {
      const bad = flip(good, bit);
      writeFileSync(path, bad);
      const result = await openBook(path);
      expect(result).toMatchObject({ kind: 'damaged', path });
      expect(readFileSync(path).equals(bad)).toBe(true);
    }
  });

  it('is recognised wherever it is cut off', async () => {
    await saved(7);
    const good = readFileSync(path);
    for (let length = 0; length < good.length; length += 3) {
      writeFileSync(path, good.subarray(0, length));
      expect((await openBook(path)).kind).toBe('damaged');
    }
  });

  it.each([
    ['empty', ''],
    ['not JSON', 'hello'],
    ['JSON of something else', '{"n":1}\n'],
    ['zero bytes', '\0'.repeat(100)],
  ])('is recognised when the file is %s', async (_name, content) => {
    await saved(7);
    writeFileSync(path, content);
    const result = await openBook(path);
    expect(result).toMatchObject({ kind: 'damaged' });
    expect(readFileSync(path, 'utf8')).toBe(content);
    expect(result.kind === 'damaged' ? result.howToRecover : '').toMatch(/--from-backup.*\n.*--from-cloud/);
  });

  it('is recognised when the file is gone while its copies are there', async () => {
    await saved(7);
    rmSync(path);
    expect(await openBook(path)).toMatchObject({ kind: 'damaged', why: expect.stringContaining('gone') });
  });

  it('is recognised when the path cannot be read as a file', async () => {
    const result = await openBook(dir);
    expect(result).toMatchObject({ kind: 'damaged', why: expect.stringContaining('EISDIR') });
    rmSync(`${dir}.lock`, { force: true });
  });

  it('names the newer version that wrote it', async () => {
    const { store } = opened(await openBook(path, { version: 4 }));
    await store.commit({ n: 1, note: '' });
    await store.close();
    expect(await openBook(path, { version: 3 })).toMatchObject({
      kind: 'damaged',
      why: expect.stringContaining('version 4, this one knows up to 3'),
    });
  });

  it('names the field that does not fit', async () => {
    const { store } = opened(await openBook(path));
    await store.commit({ n: 0.5, note: '' });
    await store.close();
    expect(await openBook(path)).toMatchObject({ kind: 'damaged', why: expect.stringContaining('n:') });
  });

  it('leaves no lock behind, so that recovery can begin', async () => {
    await saved(7);
    writeFileSync(path, 'x');
    await openBook(path);
    expect(readdirSync(join(dir, 'state')).filter((name) => name.includes('lock'))).toEqual([]);
  });
});

describe('migrations', () => {
  const steps = {
    1: (old: unknown) => ({ ...(old as object), note: 'from 1' }),
    2: (old: unknown) => ({ ...(old as object), n: (old as { n: number }).n + 1 }),
  };

  it('run one after the other, and the old file stays as a copy', async () => {
    await saved(7);
    const result = opened(await openBook(path, { version: 3, migrations: steps }));
    expect(result.document).toEqual({ n: 8, note: 'from 1' });
    await result.store.commit(result.document);
    await result.store.close();
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ version: 3 });
    expect(JSON.parse(readFileSync(`${path}.1`, 'utf8'))).toMatchObject({ version: 1, document: { n: 7 } });
  });

  it('refuse a document whose version is no longer known, and one on which a step fails', async () => {
    await saved(7);
    expect(await openBook(path, { version: 3, migrations: { 2: steps[2] } })).toMatchObject({
      kind: 'damaged',
      why: expect.stringContaining('no longer knows'),
    });
    const failing = {
      1: (): unknown => {
        throw new Error('no members');
      },
    };
    expect(await openBook(path, { version: 2, migrations: failing })).toMatchObject({
      kind: 'damaged',
      why: expect.stringContaining('from version 1 to 2: no members'),
    });
  });
});

describe('recovery on an operator’s order', () => {
  it('puts the newest good copy back, keeps the damaged file, and says so at the next start until a commit', async () => {
    await saved(7);
    writeFileSync(path, 'broken');
    const done = await recoverStore({ path, journalSince: 1, from: 'backup', clock: fixedClock() });
    expect(done).toMatchObject({ kind: 'recovered', restored: { path: `${path}.1` } });
    const [aside] = done.kind === 'recovered' ? done.setAside : [];
    expect(readFileSync(aside ?? '', 'utf8')).toBe('broken');
    const first = await openBook(path);
    expect(first).toMatchObject({ kind: 'opened', document: { n: 7 }, restored: true });
    await opened(first).store.commit({ n: 8, note: '' });
    await opened(first).store.close();
    const second = await openBook(path);
    expect(second).toMatchObject({ kind: 'opened', document: { n: 8 }, restored: false });
    await opened(second).store.close();
  });

  it('falls back to the older copy when the newer one is damaged too', async () => {
    const clock = fixedClock();
    const { store } = opened(await openBook(path, { clock }));
    for (const n of [1, 2, 3]) {
      await store.commit({ n, note: '' });
      clock.advance(3_600_000);
    }
    await store.close();
    writeFileSync(path, '');
    writeFileSync(`${path}.1`, '');
    await recoverStore({ path, journalSince: 1, from: 'backup', clock });
    const result = opened(await openBook(path));
    expect(result.document.n).toBe(2);
    await result.store.close();
  });

  it('says so when there is no whole copy, and starts from nothing with the cloud', async () => {
    await saved(7);
    for (const suffix of ['', '.1']) writeFileSync(path + suffix, 'broken');
    expect(await recoverStore({ path, journalSince: 1, from: 'backup', clock: fixedClock() })).toMatchObject({
      kind: 'no-backup',
    });
    expect(await recoverStore({ path, journalSince: 1, from: 'cloud', clock: fixedClock() })).toMatchObject({
      kind: 'recovered',
      restored: null,
    });
    const result = opened(await openBook(path));
    expect(result.kind).toBe('created');
    await result.store.close();
  });

  it('is refused while a service owns the store', async () => {
    const { store } = opened(await openBook(path));
    expect(await recoverStore({ path, journalSince: 1, from: 'cloud', clock: fixedClock() })).toEqual({
      kind: 'owned',
      pid: process.pid,
    });
    await store.close();
  });
});
