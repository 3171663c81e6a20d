import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { repoRoot } from '../../src/repo-root.js';

export interface CommandEnd {
  readonly code: number | null;
  /** Standard output and standard error. */
  readonly out: string;
  readonly err: string;
}

/** `vmpool` with these words, to its end; interrupted after `limitMs`. */
export async function runVmpool(words: readonly string[], limitMs: number): Promise<CommandEnd> {
  const program = join(repoRoot, 'dist/src/cli/main.js');
  const child = spawn(process.execPath, [program, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: limitMs,
    killSignal: 'SIGINT',
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (part: Buffer) => (out += part.toString()));
  child.stderr.on('data', (part: Buffer) => (err += part.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, out, err };
}
