import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Compiles the starter once for each version of its source; `cache` must be readable by every account. */
export async function buildStarter(source: string, cache: string): Promise<string> {
  const version = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 16);
  const program = join(cache, `mom-starter-${version}`);
  if (existsSync(program)) return program;
  mkdirSync(cache, { recursive: true });
  const beside = `${program}.${process.pid}`;
  await promisify(execFile)('gcc', ['-O1', '-Wall', '-o', beside, source, '-lutil']);
  renameSync(beside, program);
  return program;
}
