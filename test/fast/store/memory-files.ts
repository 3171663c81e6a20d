import type { OpenFile, StoreFiles } from '../../../src/store/files.js';

/** One file's content: what reads see now, and what a power cut would leave at least. */
interface Inode {
  seen: Buffer;
  safe: Buffer | null;
}

type DirectoryChange =
  | { readonly op: 'put'; readonly name: string; readonly inode: Inode }
  | { readonly op: 'remove'; readonly name: string };

const systemError = (code: string, path: string): Error =>
  Object.assign(new Error(`${code}: ${path}`), { code });

/**
 * A file system in memory that forgets, at `powerCut`, what nobody has fsynced: content after the last `sync`
 * is kept in part or not at all, renames after the last `syncDirectory` happened up to some point or not.
 * `failAt` makes one numbered call fail; `dieAt` makes that call and all later ones fail, as in a dead process.
 */
export class MemoryFiles implements StoreFiles {
  calls = 0;
  failAt: { readonly call: number; readonly code: string } | null = null;
  dieAt: number | null = null;
  readonly log: string[] = [];
  private entries = new Map<string, Inode>();
  private safeEntries = new Map<string, Inode>();
  private changes: DirectoryChange[] = [];

  private step(what: string, path: string): void {
    this.calls += 1;
    this.log.push(`${what} ${path}`);
    if (this.dieAt !== null && this.calls >= this.dieAt) throw systemError('EDEAD', path);
    if (this.failAt?.call === this.calls) throw systemError(this.failAt.code, path);
  }

  private change(change: DirectoryChange): void {
    this.changes.push(change);
    applyTo(this.entries, change);
  }

  private find(path: string): Inode {
    const inode = this.entries.get(path);
    if (inode === undefined) throw systemError('ENOENT', path);
    return inode;
  }

  private handle(inode: Inode, path: string): OpenFile {
    return {
      write: (data) =>
        this.run(() => {
          // A write that fails may have got through in part.
          const bytes = Buffer.from(data);
          try {
            this.step('write', path);
          } catch (error) {
            inode.seen = Buffer.concat([inode.seen, bytes.subarray(0, bytes.length >> 1)]);
            throw error;
          }
          inode.seen = Buffer.concat([inode.seen, bytes]);
        }),
      sync: () =>
        this.run(() => {
          this.step('sync', path);
          inode.safe = inode.seen;
        }),
      close: () =>
        this.run(() => {
          this.step('close', path);
        }),
    };
  }

  private async run<R>(work: () => R): Promise<R> {
    await Promise.resolve();
    return work();
  }

  read(path: string): Promise<Buffer> {
    return this.run(() => {
      this.step('read', path);
      return this.find(path).seen;
    });
  }

  create(path: string): Promise<OpenFile> {
    return this.run(() => {
      this.step('create', path);
      const inode: Inode = { seen: Buffer.alloc(0), safe: null };
      this.change({ op: 'put', name: path, inode });
      return this.handle(inode, path);
    });
  }

  append(path: string): Promise<OpenFile> {
    return this.run(() => {
      this.step('append', path);
      const inode = this.entries.get(path) ?? { seen: Buffer.alloc(0), safe: null };
      this.change({ op: 'put', name: path, inode });
      return this.handle(inode, path);
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.run(() => {
      this.step('rename', to);
      this.change({ op: 'put', name: to, inode: this.find(from) });
      this.change({ op: 'remove', name: from });
    });
  }

  link(existing: string, created: string): Promise<void> {
    return this.run(() => {
      this.step('link', created);
      if (this.entries.has(created)) throw systemError('EEXIST', created);
      this.change({ op: 'put', name: created, inode: this.find(existing) });
    });
  }

  remove(path: string): Promise<void> {
    return this.run(() => {
      this.step('remove', path);
      this.find(path);
      this.change({ op: 'remove', name: path });
    });
  }

  list(directory: string): Promise<readonly string[]> {
    return this.run(() => {
      this.step('list', directory);
      return [...this.entries.keys()].map((path) => path.slice(path.lastIndexOf('/') + 1));
    });
  }

  makeDirectory(): Promise<void> {
    return Promise.resolve();
  }

  syncDirectory(path: string): Promise<void> {
    return this.run(() => {
      this.step('syncDirectory', path);
      for (const change of this.changes) applyTo(this.safeEntries, change);
      this.changes = [];
    });
  }

  /** `choose(n)` returns a number from 0 to n. Lock files go: their owners do not survive a power cut. */
  powerCut(choose: (max: number) => number): void {
    const survived = new Map(this.safeEntries);
    for (const change of this.changes.slice(0, choose(this.changes.length))) applyTo(survived, change);
    this.entries = new Map();
    for (const [name, inode] of survived) {
      if (name.includes('.lock')) continue;
      const content =
        inode.safe !== null && inode.safe === inode.seen
          ? inode.safe
          : choose(1) === 1
            ? inode.seen.subarray(0, kept(inode, choose))
            : (inode.safe ?? Buffer.alloc(0));
      this.entries.set(name, { seen: content, safe: content });
    }
    this.safeEntries = new Map(this.entries);
    this.changes = [];
    this.dieAt = null;
    this.failAt = null;
  }

  /** The process has died, and the machine goes on: lock files stay, and count for nothing. */
  forgetLocks(): void {
    for (const entries of [this.entries, this.safeEntries])
      for (const name of [...entries.keys()]) if (name.includes('.lock')) entries.delete(name);
    this.changes = this.changes.filter((change) => !change.name.includes('.lock'));
  }

  put(path: string, content: Buffer): void {
    const inode = { seen: content, safe: content };
    this.entries.set(path, inode);
    this.safeEntries.set(path, inode);
  }

  get(path: string): Buffer | undefined {
    return this.entries.get(path)?.seen;
  }

  names(): readonly string[] {
    return [...this.entries.keys()].sort();
  }
}

/** What was synced stays; what was written after it may be cut off anywhere. */
const kept = (inode: Inode, choose: (max: number) => number): number => {
  const safe = inode.safe?.length ?? 0;
  return safe + choose(inode.seen.length - safe);
};

const applyTo = (entries: Map<string, Inode>, change: DirectoryChange): void => {
  if (change.op === 'put') entries.set(change.name, change.inode);
  else entries.delete(change.name);
};
