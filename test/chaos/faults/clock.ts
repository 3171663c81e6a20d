import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  closeSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { repoRoot } from '../../../src/repo-root.js';

/** The wall clock as the service alone sees it; the machine's own is never moved. */
export class WallClock {
  private constructor(
    readonly environment: Readonly<Record<string, string>>,
    private readonly file: string,
  ) {}

  /** `file` holds how far the clock is moved; `cache` the compiled library. */
  static async prepare(file: string, cache: string): Promise<WallClock> {
    const source = join(repoRoot, 'test/chaos/wall-clock.c');
    const version = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 16);
    const library = join(cache, `wall-clock-${version}.so`);
    if (!existsSync(library)) {
      mkdirSync(cache, { recursive: true });
      const beside = `${library}.${String(process.pid)}`;
      await promisify(execFile)('gcc', ['-O1', '-Wall', '-shared', '-fPIC', '-o', beside, source]);
      renameSync(beside, library);
    }
    writeFileSync(file, Buffer.alloc(8), { mode: 0o600 });
    return new WallClock({ LD_PRELOAD: library, VMPOOL_CHAOS_CLOCK: file }, file);
  }

  /** Moves it by so many milliseconds from the true time, at once. */
  moveTo(offsetMs: number): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(offsetMs));
    const file = openSync(this.file, 'r+');
    writeSync(file, bytes, 0, bytes.length, 0);
    closeSync(file);
  }
}
