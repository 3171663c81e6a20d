import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { isAlive, startTicksOf, thisProcess } from '../store/process-identity.js';
import { writeFileAtomically } from './atomic-file.js';

const runSchema = z.object({
  stack: z.string(),
  process: z.object({ pid: z.number(), ticks: z.number(), boot: z.string(), host: z.string() }),
});
export type Run = z.infer<typeof runSchema>;

/**
 * Which `pulumi` processes this engine has started: by these records alone a lock in a backend is known to be
 * ours. A process that ended by itself has released its lock, or it is released for it, and leaves no record.
 */
export class Runs {
  private readonly directory: string;

  constructor(stateDir: string) {
    this.directory = join(stateDir, 'engine', 'runs');
    mkdirSync(this.directory, { recursive: true, mode: 0o700 });
  }

  began(stack: string, pid: number): void {
    const ticks = startTicksOf(pid);
    if (ticks !== null) {
      const run: Run = { stack, process: { ...thisProcess(), pid, ticks } };
      writeFileAtomically(this.path(pid), JSON.stringify(run));
    }
  }

  forget(pid: number): void {
    rmSync(this.path(pid), { force: true });
  }

  /** Every run on record; a record that cannot be read is no proof of anything and is dropped. */
  all(): readonly Run[] {
    const runs: Run[] = [];
    for (const name of readdirSync(this.directory)) {
      const path = join(this.directory, name);
      try {
        runs.push(runSchema.parse(JSON.parse(readFileSync(path, 'utf8'))));
      } catch {
        rmSync(path, { force: true });
      }
    }
    return runs;
  }

  /** Runs of a stack whose process is gone. */
  dead(stack: string): readonly Run[] {
    return this.all().filter((run) => run.stack === stack && !isAlive(run.process));
  }

  private path(pid: number): string {
    return join(this.directory, `${String(pid)}.json`);
  }
}

