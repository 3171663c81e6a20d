import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * Finds a file of the source tree from this module, whether it runs compiled (dist/src/...) or from the sources:
 * the C source is not copied by the compiler.
 */
async function findSource(name: string): Promise<string> {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    for (const candidate of [join(folder, name), join(folder, 'src/embedded/sandbox', name)]) {
      try {
        await access(candidate);
        return candidate;
      } catch {
        // Not here: look one folder further up.
      }
    }
    const parent = dirname(folder);
    if (parent === folder)
      throw new Error(
        `${name} was not found above ${fileURLToPath(import.meta.url)}: the checkout is incomplete`,
      );
    folder = parent;
  }
}

/** The root of the checkout that this runs from. */
export async function checkoutFolder(): Promise<string> {
  return join(dirname(await findSource('vm-sandbox.c')), '../../..');
}

function cacheFolder(): string {
  return (
    process.env['VMPOOL_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'vmpool')
  );
}

/**
 * The path of the compiled sandbox program. Compiled with gcc at first use (about a quarter of a second) and kept
 * in the cache under a name made from its source, so a changed source is never served by an old binary.
 */
export async function sandboxProgram(): Promise<string> {
  const source = await findSource('vm-sandbox.c');
  const digest = createHash('sha256')
    .update(await readFile(source))
    .update(process.arch)
    .digest('hex')
    .slice(0, 16);
  const folder = join(cacheFolder(), 'sandbox');
  const program = join(folder, `vm-sandbox-${digest}`);
  try {
    await access(program);
    return program;
  } catch {
    // First use of this source on this machine.
  }
  await mkdir(folder, { recursive: true });
  const unfinished = `${program}.${process.pid}.${Date.now()}`;
  try {
    await run('gcc', ['-O2', '-Wall', '-o', unfinished, source]);
    await rename(unfinished, program);
  } catch (error) {
    await rm(unfinished, { force: true });
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`cannot compile ${source}: install gcc and libc6-dev. ${reason}`, { cause: error });
  }
  return program;
}
