import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { gunzipSync, gzipSync } from 'node:zlib';
import { makeBackup } from '../../../src/backup/make.js';
import { kindOfEntry } from '../../../src/backup/place.js';
import { restoreBackup } from '../../../src/backup/restore.js';
import { verifyBackup } from '../../../src/backup/verify.js';
import { writeArchive } from '../../../src/backup/archive.js';
import { installation, stateText, TestPlace } from './place.js';

const at = Date.parse('2026-11-23T10:00:00.000Z');
const clock = { now: () => at };

let here: TestPlace;
beforeEach(async () => {
  here = new TestPlace();
  here.fill();
  await here.commit(7);
});
afterEach(() => here.close());

const make = (): Promise<{ readonly path: string }> =>
  makeBackup(here.place, { target: here.path('one.tgz'), keep: null, now: at });
const restore = (file: string, dryRun = false): ReturnType<typeof restoreBackup> =>
  restoreBackup(here.place, { file, dryRun, clock });

describe('a backup', () => {
  it('holds what must not be lost of this pool and nothing else, for its owner alone', async () => {
    const { path, manifest, book } = await makeBackup(here.place, {
      target: here.path('one.tgz'),
      keep: null,
      now: at,
    });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(manifest).toMatchObject({ pool: 'batch', installation, takenAt: '2026-11-23T10:00:00.000Z' });
    expect(manifest.files.map(({ name }) => name)).toEqual([
      'backend/meta.yaml',
      'backend/batch-c001.json',
      'backend/batch-summary.json',
      'backend/batch.json',
      'stacks/Pulumi.batch-c001.yaml',
      'stacks/batch-c001.lost.json',
      'installation',
      'capability.key',
      'book.json',
    ]);
    expect(book.seq).toBe(7);
    // Nothing of the making is left beside it.
    expect(readdirSync(here.root).sort()).toEqual(['one.tgz', 'pulumi', 'state']);
  });

  it('is made beside the running service, of what that has committed', async () => {
    const { store, book } = await here.serve();
    try {
      await store.commit({ ...book, seq: 8 });
      expect((await make()).path).toBe(here.path('one.tgz'));
      expect((await verifyBackup(here.path('one.tgz'))).book.seq).toBe(8);
    } finally {
      await store.close();
    }
  });

  it('gets a name of its own in a directory, where the oldest make room and nothing else is touched', async () => {
    const target = here.path('backups');
    mkdirSync(target);
    writeFileSync(here.path('backups/notes.txt'), 'mine');
    writeFileSync(here.path('backups/other-20200101T000000Z.vmpool.tgz'), "another pool's");
    for (let day = 0; day < 4; day += 1)
      await makeBackup(here.place, { target, keep: 2, now: at + day * 86_400_000 });
    expect(readdirSync(target).sort()).toEqual([
      'batch-20261125T100000Z.vmpool.tgz',
      'batch-20261126T100000Z.vmpool.tgz',
      'notes.txt',
      'other-20200101T000000Z.vmpool.tgz',
    ]);
  });

  it('is not made over another file, without a book, or of a damaged one', async () => {
    await make();
    await expect(make()).rejects.toThrow(/is there already/);
    const target = here.path('two.tgz');
    await expect(makeBackup(here.place, { target, keep: 3, now: at })).rejects.toThrow(/needs a directory/);
    writeFileSync(here.path('state/book.json'), 'x');
    await expect(makeBackup(here.place, { target, keep: null, now: at })).rejects.toThrow(
      /would be no good.*vmpool doctor/,
    );
    // Earlier copies beside it say that there was a book once; without them there never was one.
    rmSync(here.path('state/book.json'));
    await expect(makeBackup(here.place, { target, keep: null, now: at })).rejects.toThrow(/the file is gone/);
    for (const name of readdirSync(here.path('state')))
      if (name.startsWith('book.json')) rmSync(here.path(`state/${name}`));
    await expect(makeBackup(here.place, { target, keep: null, now: at })).rejects.toThrow(/there is no book/);
    expect(existsSync(target)).toBe(false);
  });

  it('leaves out a state that cannot be read, and keeps the rest', async () => {
    here.put('pulumi/.pulumi/stacks/vmpool/batch-c001.json', '{"version":3,"checkp');
    const { path } = await make();
    const names = [...(await verifyBackup(path)).files.keys()];
    expect(names).not.toContain('backend/batch-c001.json');
    expect(names).toContain('backend/batch.json');
  });
});

describe('a damaged backup', () => {
  it.each(['cut off', 'bit flipped', 'not compressed', 'empty', 'absent'])('%s is refused', async (how) => {
    const { path } = await make();
    const bytes = readFileSync(path);
    const middle = Math.floor(bytes.length / 2);
    if (how === 'cut off') writeFileSync(path, bytes.subarray(0, middle));
    if (how === 'bit flipped') {
      bytes[middle] = (bytes[middle] ?? 0) ^ 0x10;
      writeFileSync(path, bytes);
    }
    if (how === 'not compressed') writeFileSync(path, 'vmpool');
    if (how === 'empty') writeFileSync(path, '');
    if (how === 'absent') rmSync(path);
    await expect(verifyBackup(path)).rejects.toThrow(/cannot be used/);
    const before = readFileSync(here.path('state/book.json'));
    await expect(restore(path)).rejects.toThrow(/cannot be used/);
    expect(readFileSync(here.path('state/book.json')).equals(before)).toBe(true);
  });

  it('whose content was changed and packed again is refused: its list of contents knows better', async () => {
    const { path } = await make();
    const plain = gunzipSync(readFileSync(path)).toString('latin1');
    const changed = plain.replace('encryptionsalt: v1:x', 'encryptionsalt: v1:y');
    expect(changed).not.toBe(plain);
    writeFileSync(path, gzipSync(Buffer.from(changed, 'latin1')));
    await expect(verifyBackup(path)).rejects.toThrow(/Pulumi.batch-c001.yaml is not what was put in/);
  });

  it('with a file that no backup holds is refused, and no name leads out of its place', async () => {
    const { path } = await make();
    const { files } = await verifyBackup(path);
    const forged = here.path('forged.tgz');
    const about = { pool: 'batch', installation, takenAt: new Date(at).toISOString(), program: '0' };
    await writeArchive(forged, about, new Map([...files, ['stacks/run.sh', Buffer.from('x')]]));
    await expect(restore(forged)).rejects.toThrow(/stacks\/run.sh is nothing that a backup holds/);
    for (const name of [
      '../x',
      '/etc/passwd',
      'stacks/../Pulumi.a.yaml',
      'backend/../a.json',
      'stacks/Pulumi.a/b.yaml',
    ])
      expect([name, kindOfEntry(name)]).toEqual([name, null]);
  });
});

describe('a restore', () => {
  it('onto an empty machine puts everything back, readable by its owner alone, and the book as one to be doubted', async () => {
    const { path } = await make();
    rmSync(here.place.stateDir, { recursive: true });
    rmSync(here.path('pulumi'), { recursive: true });
    const { steps, done } = await restore(path);
    expect(done).toBe(true);
    expect(new Set(steps.map(({ action }) => action))).toEqual(new Set(['put']));
    for (const name of [
      'state/installation',
      'state/capability.key',
      'state/engine/stacks/Pulumi.batch-c001.yaml',
      'state/engine/stacks/batch-c001.lost.json',
      'pulumi/.pulumi/stacks/vmpool/batch.json',
      'state/book.json',
    ])
      expect(statSync(here.path(name)).mode & 0o777).toBe(0o600);
    expect(readFileSync(here.path('pulumi/.pulumi/stacks/vmpool/batch.json'), 'utf8')).toBe(
      stateText('batch'),
    );
    const { store, book } = await here.serve();
    await store.close();
    expect(book).toMatchObject({ seq: 7, installation });
    expect(readFileSync(here.path('state/book.json'), 'utf8')).toContain('"origin":"restored"');
  });

  it('puts the book back, keeps what is newer, and sets aside instead of deleting', async () => {
    const { path } = await make();
    await here.commit(9);
    here.put('pulumi/.pulumi/stacks/vmpool/batch-c001.json', stateText('newer'));
    here.put('pulumi/.pulumi/stacks/vmpool/batch-summary.json', 'torn');
    here.put('state/engine/stacks/Pulumi.batch-c001.yaml', 'config: {newer: 1}\n');
    rmSync(here.path('state/engine/stacks/batch-c001.lost.json'));
    const dry = await restore(path, true);
    expect(dry).toMatchObject({ done: false, setAside: [] });
    expect(readFileSync(here.path('state/book.json'), 'utf8')).toContain('"seq":9');
    const { steps, setAside } = await restore(path);
    expect(Object.fromEntries(steps.map(({ name, action }) => [name, action]))).toEqual({
      'backend/meta.yaml': 'same',
      'backend/batch-c001.json': 'kept',
      'backend/batch-summary.json': 'replaced',
      'backend/batch.json': 'same',
      'stacks/Pulumi.batch-c001.yaml': 'kept',
      'stacks/batch-c001.lost.json': 'put',
      installation: 'same',
      'capability.key': 'same',
      'book.json': 'replaced',
    });
    expect(readFileSync(here.path('pulumi/.pulumi/stacks/vmpool/batch-c001.json'), 'utf8')).toBe(
      stateText('newer'),
    );
    // The third is the journal of the book that was there.
    expect(setAside).toHaveLength(3);
    expect(readFileSync(setAside.find((name) => name.includes('book.json.aside')) ?? '', 'utf8')).toContain(
      '"seq":9',
    );
    expect(readFileSync(setAside.find((name) => name.includes('summary')) ?? '', 'utf8')).toBe('torn');
    expect(readFileSync(here.path('state/book.json'), 'utf8')).toContain('"seq":7');
  });

  it('is refused while a service runs, and changes nothing', async () => {
    const { path } = await make();
    rmSync(here.path('state/engine/stacks/batch-c001.lost.json'));
    const { store, book } = await here.serve();
    try {
      await store.commit({ ...book, seq: 10 });
      await expect(restore(path)).rejects.toThrow(/a service runs on .* \(pid \d+\): stop it first/);
      expect(existsSync(here.path('state/engine/stacks/batch-c001.lost.json'))).toBe(false);
      expect(readFileSync(here.path('state/book.json'), 'utf8')).toContain('"seq":10');
    } finally {
      await store.close();
    }
  });

  it("is refused for another pool's configuration and into another installation's directory", async () => {
    const { path } = await make();
    await expect(
      restoreBackup({ ...here.place, pool: 'other' }, { file: path, dryRun: false, clock }),
    ).rejects.toThrow(/is of pool batch, the configuration of pool other/);
    here.put('state/installation', '00000000-0000-4000-8000-000000000000\n');
    await expect(restore(path)).rejects.toThrow(/started here by mistake.*move that directory away/s);
  });

  it('says when the secret that is there is another one, and where the states are, with another backend', async () => {
    const { path } = await make();
    here.put('state/capability.key', `${'f'.repeat(64)}\n`);
    const { steps } = await restoreBackup(
      { ...here.place, backend: null },
      { file: path, dryRun: false, clock },
    );
    expect(steps.find(({ name }) => name === 'capability.key')).toMatchObject({
      action: 'kept',
      why: expect.stringContaining('prove nothing'),
    });
    expect(steps.find(({ name }) => name === 'backend/batch.json')).toMatchObject({ action: 'left out' });
    expect(readFileSync(here.path('state/capability.key'), 'utf8')).toBe(`${'f'.repeat(64)}\n`);
  });
});
