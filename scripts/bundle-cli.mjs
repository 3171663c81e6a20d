/**
 * Bundles the command line, the service with it, into dist/bin/: `vmpool.js` and what it loads later. Some three hundred
 * small modules take several times as long to load as the few files that they become here, and a restart waits for
 * them. What is installed with native parts, or is loaded by the engine's process alone, stays a package.
 */
import { build } from 'esbuild';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { putWhole } from './whole-file.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** Packages of CommonJS ask for `require`, which a module does not have. */
const banner =
  "import { createRequire as requireFor } from 'node:module';\nconst require = requireFor(import.meta.url);";

/**
 * @param entryPoints name of the program (without `.js`) by its source
 * @returns the names of the files, each written whole; others in `outdir` are removed
 */
export async function bundlePrograms(entryPoints, outdir) {
  const { outputFiles } = await build({
    entryPoints: Object.entries(entryPoints).map(([out, source]) => ({ in: source, out })),
    outdir,
    bundle: true,
    splitting: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    external: ['@pulumi/*', 'ssh2'],
    banner: { js: banner },
    chunkNames: '[name]-[hash]',
    legalComments: 'none',
    write: false,
    logLevel: 'warning',
  });
  await mkdir(outdir, { recursive: true });
  const names = outputFiles.map(({ path }) => basename(path));
  // The programs last: what they load is there by then.
  const isProgram = (name) => Object.keys(entryPoints).includes(name.replace(/\.js$/, ''));
  for (const { path, text } of outputFiles.toSorted(
    (a, b) => isProgram(basename(a.path)) - isProgram(basename(b.path)),
  ))
    await putWhole(path, text, text.startsWith('#!') ? 0o755 : 0o644);
  for (const name of await readdir(outdir)) if (!names.includes(name)) await rm(join(outdir, name));
  return names;
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await bundlePrograms({ vmpool: join(root, 'src', 'cli', 'main.ts') }, join(root, 'dist', 'bin'));
