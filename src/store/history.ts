import { join } from 'node:path';
import { errorText, nodeFiles, readIfThere, removeIfThere, type OpenFile, type StoreFiles } from './files.js';
import type { History } from './port.js';

export interface HistoryOptions {
  readonly dir: string;
  /** A file that has grown to this is rotated. */
  readonly maxBytes: number;
  /** Rotated files kept beside the current one. */
  readonly keep: number;
  /** What may wait in memory for a slow disk; beyond it lines are dropped and counted. */
  readonly maxBufferedBytes?: number;
  readonly onWarning?: (message: string) => void;
  readonly files?: StoreFiles;
}

const current = 'history.jsonl';
const rotated = (n: number): string => `history.${String(n)}.jsonl`;
/** Pause after a disk's refusal: history must not keep a full disk busy. */
const retryAfterMs = 5_000;

class RotatedHistory implements History {
  private lines: string[] = [];
  private buffered = 0;
  private dropped = 0;
  private writing: Promise<void> | null = null;
  private retry: NodeJS.Timeout | null = null;
  private refused = false;
  private closed = false;

  constructor(
    private readonly files: StoreFiles,
    private readonly options: Required<
      Pick<HistoryOptions, 'dir' | 'maxBytes' | 'keep' | 'maxBufferedBytes'>
    >,
    private readonly onWarning: (message: string) => void,
    private file: OpenFile | null,
    private size: number,
  ) {}

  append(entry: { readonly at: number; readonly kind: string } & Readonly<Record<string, unknown>>): void {
    if (this.closed) return;
    const line = `${JSON.stringify(entry)}\n`;
    const bytes = Buffer.byteLength(line);
    if (this.buffered + bytes > this.options.maxBufferedBytes) {
      this.dropped += 1;
      return;
    }
    if (this.dropped > 0) {
      const note = `${JSON.stringify({ at: entry.at, kind: 'history-dropped', lines: this.dropped })}\n`;
      this.lines.push(note);
      this.buffered += Buffer.byteLength(note);
      this.dropped = 0;
    }
    this.lines.push(line);
    this.buffered += bytes;
    if (this.retry === null) this.start();
  }

  async close(): Promise<void> {
    this.closed = true;
    if (this.retry !== null) clearTimeout(this.retry);
    this.retry = null;
    await this.writing;
    // One last try, whatever the disk said before.
    if (this.lines.length > 0) await this.drain();
    if (this.retry !== null) clearTimeout(this.retry);
    await this.file?.close().catch(() => undefined);
    this.file = null;
  }

  private start(): void {
    this.writing ??= this.drain();
  }

  private async drain(): Promise<void> {
    await Promise.resolve();
    try {
      await this.writeLines();
    } finally {
      // What came between the loop's last look and here would wait for the next line.
      this.writing = null;
      if (this.lines.length > 0 && this.retry === null && !this.closed) this.start();
    }
  }

  private async writeLines(): Promise<void> {
    while (this.lines.length > 0) {
      // As many lines as the file still takes; one that is larger than a whole file gets one of its own.
      let bytes = 0;
      let count = 0;
      for (const line of this.lines) {
        const length = Buffer.byteLength(line);
        if (count > 0 && this.size + bytes + length > this.options.maxBytes) break;
        bytes += length;
        count += 1;
      }
      const batch = this.lines.slice(0, count);
      try {
        if (this.size > 0 && this.size + bytes > this.options.maxBytes) await this.rotate();
        this.file ??= await this.files.append(join(this.options.dir, current));
        await this.file.write(batch.join(''));
      } catch (error) {
        await this.rest(error);
        return;
      }
      this.lines.splice(0, count);
      this.buffered -= bytes;
      this.size += bytes;
      this.refused = false;
    }
  }

  /** After a failed write part of the batch may stand there: a new line keeps the next one readable. */
  private async rest(error: unknown): Promise<void> {
    if (!this.refused)
      this.onWarning(`The history in ${this.options.dir} cannot be written: ${errorText(error)}`);
    this.refused = true;
    await this.file?.close().catch(() => undefined);
    this.file = null;
    if (this.lines[0]?.startsWith('\n') === false) {
      this.lines[0] = `\n${this.lines[0]}`;
      this.buffered += 1;
    }
    if (this.closed) return;
    this.retry = setTimeout(() => {
      this.retry = null;
      this.start();
    }, retryAfterMs);
    this.retry.unref();
  }

  private async rotate(): Promise<void> {
    await this.file?.close();
    this.file = null;
    const { dir, keep } = this.options;
    const move = async (from: string, to: string): Promise<void> => {
      if ((await this.files.list(dir)).includes(from))
        await this.files.rename(join(dir, from), join(dir, to));
    };
    await removeIfThere(this.files, join(dir, rotated(keep)));
    for (let n = keep - 1; n >= 1; n -= 1) await move(rotated(n), rotated(n + 1));
    if (keep >= 1) await move(current, rotated(1));
    else await removeIfThere(this.files, join(dir, current));
    this.size = 0;
  }
}

/** Opens (or makes) the history in `dir`. A last line that a crash cut off is ended, so that the next is whole. */
export const openHistory = async (options: HistoryOptions): Promise<History> => {
  const files = options.files ?? nodeFiles;
  await files.makeDirectory(options.dir);
  const path = join(options.dir, current);
  const before = await readIfThere(files, path);
  const file = await files.append(path);
  let size = before?.length ?? 0;
  if (before !== null && size > 0 && before[size - 1] !== 0x0a) {
    await file.write('\n');
    size += 1;
  }
  return new RotatedHistory(
    files,
    {
      dir: options.dir,
      maxBytes: options.maxBytes,
      keep: options.keep,
      maxBufferedBytes: options.maxBufferedBytes ?? 4 * 1024 * 1024,
    },
    options.onWarning ?? (() => undefined),
    file,
    size,
  );
};
