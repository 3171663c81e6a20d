import type { OpenFile, StoreFiles } from '../../src/store/files.js';
import { generationPaths } from '../../src/store/generations.js';
import { bookPath } from '../../src/service/open-book.js';
import { MemoryFiles } from '../fast/store/memory-files.js';
import type { Agenda } from './agenda.js';
import type { Faults } from './faults.js';
import { Random, seedFor } from './random.js';

export const stateDir = '/state';

const dead = new Promise<never>(() => undefined);

/**
 * The disk of the service's machine. The store's own code works on it; its calls take time, so that a process can be
 * killed, or the power be cut, between any two of them.
 */
export class SimDisk {
  private readonly memory = new MemoryFiles();
  private readonly random: Random;
  private life = 0;

  constructor(
    private readonly agenda: Agenda,
    private readonly faults: Faults,
    seed: number,
    /** A broken file system or store, for the mutants. */
    private readonly around: (files: StoreFiles) => StoreFiles = (files) => files,
  ) {
    this.random = new Random(seedFor(seed, 'disk'));
  }

  /** The file system as a new process sees it: the one before it is dead, and nothing of it happens any more. */
  open(): StoreFiles {
    this.life += 1;
    const life = this.life;
    const { memory } = this;
    const alive = (): boolean => life === this.life;
    const now = <R>(work: () => Promise<R>): Promise<R> => (alive() ? work() : dead);
    const slow = <R>(work: () => Promise<R>): Promise<R> =>
      new Promise((resolve, reject) => {
        this.agenda.after(this.random.between(0, 6), () => {
          if (!alive()) return;
          if (this.faults.strikes('commit-fails')) {
            const code = this.random.pick(['ENOSPC', 'EIO']) ?? 'EIO';
            reject(Object.assign(new Error(`${code}: the disk refuses`), { code }));
          } else work().then(resolve, reject);
        });
      });
    const file = (open: OpenFile): OpenFile => ({
      write: (data) => slow(() => open.write(data)),
      sync: () => slow(() => open.sync()),
      close: () => now(() => open.close()),
    });
    return this.around({
      read: (path) => now(() => memory.read(path)),
      create: (path) => slow(async () => file(await memory.create(path))),
      append: (path) => slow(async () => file(await memory.append(path))),
      rename: (from, to) => slow(() => memory.rename(from, to)),
      link: (existing, created) => now(() => memory.link(existing, created)),
      remove: (path) => now(() => memory.remove(path)),
      list: (directory) => now(() => memory.list(directory)),
      makeDirectory: () => now(() => memory.makeDirectory()),
      syncDirectory: (path) => slow(() => memory.syncDirectory(path)),
    });
  }

  /** `kill -9`: what was written is there, and nobody owns it any more. */
  processDies(): void {
    this.life += 1;
    this.memory.forgetLocks();
  }

  /** Writes that were not synced are torn or gone, renames that were not synced may not have happened. */
  powerCut(): void {
    this.life += 1;
    this.memory.powerCut((max) => this.random.between(0, max));
  }

  /**
   * A bad block, or an editor: the store's file, or its journal, is no longer what was written. `damaged` is seen at the
   * next start; `cut`: the journal ends within one of its commits; `none`: there was nothing to hurt.
   */
  rot(): 'damaged' | 'cut' | 'none' {
    const path = bookPath(stateDir);
    const bytes = this.memory.get(path);
    if (bytes === undefined || bytes.length === 0) return 'none';
    const journals = this.memory.names().filter((name) => name.startsWith(`${path}.journal-`));
    const journal = this.random.chance(0.5) ? this.random.pick(journals) : undefined;
    if (journal !== undefined) {
      if (this.random.chance(0.5) && this.cut(journal)) return 'cut';
      return this.flip(journal) ? 'damaged' : 'none';
    }
    const hurt = Buffer.from(bytes);
    const at = this.random.between(0, hurt.length - 1);
    if (this.random.chance(0.5)) this.flip(path);
    else this.memory.put(path, hurt.subarray(0, at));
    if (this.random.chance(0.2)) this.memory.put(generationPaths(path)[0], Buffer.from('{'));
    return 'damaged';
  }

  /** Somewhere behind its first line, within another. False when there is no other. */
  private cut(journal: string): boolean {
    const bytes = this.memory.get(journal);
    const first = bytes?.indexOf(10) ?? -1;
    if (bytes === undefined || first === -1 || first + 2 >= bytes.length) return false;
    const at = this.random.between(first + 2, bytes.length - 1);
    // What ends with a line shows nothing of what stood behind it.
    this.memory.put(journal, bytes.subarray(0, bytes[at - 1] === 10 ? at - 1 : at));
    return true;
  }

  /** One bit of the file, wherever. */
  private flip(path: string): boolean {
    const bytes = this.memory.get(path);
    if (bytes === undefined || bytes.length === 0) return false;
    const hurt = Buffer.from(bytes);
    const at = this.random.between(0, hurt.length - 1);
    hurt[at] = (hurt[at] ?? 0) ^ (1 << this.random.between(0, 7));
    this.memory.put(path, hurt);
    return true;
  }
}
