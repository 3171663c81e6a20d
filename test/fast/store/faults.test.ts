import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { StoreError } from '../../../src/store/port.js';
import { fixedClock, openBook, opened, stored } from './book.js';
import { MemoryFiles } from './memory-files.js';

const path = '/state/book.json';

describe('commits in groups', () => {
  it('writes the newest of those that came together, once, and resolves them all', async () => {
    const files = new MemoryFiles();
    const { store } = opened(await openBook(path, { files }));
    await store.commit({ n: 1, note: '' });
    await store.commit({ n: 1, note: 'with the copy that follows the first one done' });
    const syncs = (): number => files.log.filter((line) => /^(sync|syncDirectory) /.test(line)).length;
    const before = syncs();
    await Promise.all(Array.from({ length: 100 }, (_, n) => store.commit({ n: n + 2, note: '' })));
    expect(syncs()).toBe(before + 1);
    expect(await stored(path, files)).toMatchObject({ n: 101 });
    await store.close();
  });

  // The end of one group's write and the start of the next are some microtasks apart.
  it.each([0, 1, 2, 3, 4, 5])(
    'writes a commit that comes %d microtasks after an earlier one has resolved',
    async (ticks) => {
      for (const recent of [false, true]) {
        const files = new MemoryFiles();
        const { store } = opened(await openBook(path, { files }));
        if (recent) await store.commit({ n: 0, note: '' });
        let chain = store.commit({ n: 1, note: '' });
        for (let tick = 0; tick < ticks; tick += 1) chain = chain.then(() => undefined);
        await chain.then(() => store.commit({ n: 2, note: '' }));
        expect(await stored(path, files)).toMatchObject({ n: 2 });
        await store.close();
      }
    },
  );

  it('puts the journal in its place, then the snapshot: each synced before its rename, the directory after it', async () => {
    const files = new MemoryFiles();
    const { store } = opened(await openBook(path, { files }));
    files.log.length = 0;
    await store.commit({ n: 1, note: '' });
    const [journal = ''] = files.names().filter((name) => name.includes('.journal-'));
    const replaced = (file: string): string[] => [
      `create ${file}.tmp`,
      `write ${file}.tmp`,
      `sync ${file}.tmp`,
      `close ${file}.tmp`,
      `rename ${file}`,
      `syncDirectory /state`,
    ];
    expect(files.log.slice(0, 12)).toEqual([...replaced(journal), ...replaced(path)]);
    await store.commit({ n: 1, note: '' });
    files.log.length = 0;
    await store.commit({ n: 2, note: '' });
    expect(files.log.slice(-3)).toEqual([`append ${journal}`, `write ${journal}`, `sync ${journal}`]);
    files.log.length = 0;
    await store.commit({ n: 3, note: '' });
    expect(files.log).toEqual([`write ${journal}`, `sync ${journal}`]);
    await store.close();
    expect(files.names().filter((name) => name.includes('.journal-'))).not.toContain(journal);
    expect(JSON.parse(files.get(path)?.toString() ?? '')).toMatchObject({ document: { n: 3 } });
  });
});

describe('a disk that refuses', () => {
  it.each(['ENOSPC', 'EIO', 'EROFS'])(
    'rejects a commit that is a snapshot with %s in plain words and recovers',
    async (code) => {
      for (let step = 1; step <= 12; step += 1) {
        const files = new MemoryFiles();
        const first = opened(await openBook(path, { files }));
        await first.store.commit({ n: 1, note: '' });
        await first.store.close();
        const { store } = opened(await openBook(path, { files }));
        files.failAt = { call: files.calls + step, code };
        const refused = await store.commit({ n: 2, note: '' }).catch((error: unknown) => error);
        expect(refused).toBeInstanceOf(StoreError);
        expect(refused).toMatchObject({
          code,
          message: expect.stringContaining(`The store ${path} could not`),
        });
        // Refused before the rename: the old one; in the directory's fsync: the new one. Always a whole one.
        expect(await stored(path, files)).toMatchObject({ n: step < 12 ? 1 : 2 });
        await store.commit({ n: 3, note: '' });
        expect(await stored(path, files)).toMatchObject({ n: 3 });
        await store.close();
        expect(files.names().filter((name) => name.includes('tmp') || name.includes('lock'))).toEqual([]);
        expect(files.names().filter((name) => name.includes('.journal-'))).toHaveLength(1);
      }
    },
  );

  it.each(['ENOSPC', 'EIO'])(
    'rejects a commit to the journal with %s, and puts the next one in a new snapshot',
    async (code) => {
      for (let step = 1; step <= 3; step += 1) {
        const files = new MemoryFiles();
        const { store } = opened(await openBook(path, { files }));
        await store.commit({ n: 1, note: '' });
        await store.commit({ n: 2, note: '' });
        // Opened already: the journal's write is the first call.
        files.failAt = { call: files.calls + Math.min(step, 2), code };
        await expect(store.commit({ n: 3, note: '' })).rejects.toMatchObject({ code });
        expect([2, 3]).toContain((await stored(path, files)).n);
        // Still no room for a whole snapshot: refused as well, and nothing lost.
        if (step === 3) {
          files.failAt = { call: files.calls + 2, code };
          await expect(store.commit({ n: 4, note: '' })).rejects.toMatchObject({ code });
          expect([2, 3]).toContain((await stored(path, files)).n);
        }
        await store.commit({ n: 5, note: '' });
        await store.commit({ n: 6, note: '' });
        expect(await stored(path, files)).toMatchObject({ n: 6 });
        files.dieAt = files.calls + 1;
        files.powerCut(() => 0);
        expect(opened(await openBook(path, { files })).document.n).toBe(6);
      }
    },
  );

  it('loses no answer when only the earlier copy cannot be renewed', async () => {
    const files = new MemoryFiles();
    const warnings: string[] = [];
    const { store } = opened(await openBook(path, { files, onWarning: (message) => warnings.push(message) }));
    files.failAt = { call: files.calls + 15, code: 'ENOSPC' };
    await store.commit({ n: 1, note: '' });
    await store.close();
    expect(warnings).toEqual([expect.stringContaining('ENOSPC')]);
  });

  it('gives up the lock when reading it fails', async () => {
    const files = new MemoryFiles();
    files.dieAt = 1;
    await expect(openBook(path, { files })).rejects.toThrow(StoreError);
  });
});

describe('after a power cut or a kill at any step', () => {
  it('finds a whole document, at least as new as the last one that was acknowledged', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 120 }),
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 8 }),
        fc.array(fc.nat(), { minLength: 12, maxLength: 12 }),
        async (diesAfter, bursts, choices) => {
          const files = new MemoryFiles();
          const clock = fixedClock();
          const { store } = opened(await openBook(path, { files, clock }));
          files.dieAt = files.calls + diesAfter;
          let asked = 0;
          let acknowledged = 0;
          for (const burst of bursts) {
            // Now and then the journal is old enough for a new snapshot.
            if (burst === 4) clock.advance(100_000);
            await Promise.all(
              Array.from({ length: burst }, async () => {
                asked += 1;
                const n = asked;
                await store.commit({ n, note: 'x'.repeat(n) }).then(
                  () => {
                    acknowledged = Math.max(acknowledged, n);
                  },
                  () => undefined,
                );
              }),
            );
          }
          let turn = 0;
          files.powerCut((max) => (choices[turn++ % choices.length] ?? 0) % (max + 1));
          const after = await openBook(path, { files });
          const { document } = opened(after);
          expect(document.n).toBeGreaterThanOrEqual(acknowledged);
          expect(document.n).toBeLessThanOrEqual(asked);
          expect(document.note).toHaveLength(document.n);
        },
      ),
      { numRuns: 300 },
    );
  });
});
