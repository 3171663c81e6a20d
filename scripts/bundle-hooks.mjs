/**
 * Bundles each hook into one file without dependencies: dist/worker/{prologue,epilogue,jobstarter,sync,nodecheck}.
 * Not into dist/hooks: its package.json would make CommonJS of the compiled installer there.
 * The installer writes the worker's own path of Node into the first line.
 */
import { build } from 'esbuild';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { putWhole } from './whole-file.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const hookNames = ['prologue', 'epilogue', 'jobstarter', 'sync', 'nodecheck'];

/** Files appear whole, so that a running test or an installer never reads half of one. */
export async function bundleHooks(outDir = join(root, 'dist', 'worker')) {
  const result = await build({
    entryPoints: hookNames.map((name) => join(root, 'hooks', 'src', 'main', `${name}.ts`)),
    outdir: outDir,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    write: false,
    logLevel: 'warning',
  });
  await mkdir(outDir, { recursive: true });
  for (const { path, text } of result.outputFiles)
    await putWhole(path.replace(/\.js$/, ''), `#!/usr/bin/env node\n${text}`, 0o755);
  // Files without an ending are CommonJS only outside of packages of type "module".
  await writeFile(join(outDir, 'package.json'), '{ "type": "commonjs" }\n');
  return result.outputFiles.length;
}

if (
  process.argv[1] !== undefined &&
  (await readFile(process.argv[1])).equals(await readFile(fileURLToPath(import.meta.url)))
) {
  const count = await bundleHooks(process.argv[2]);
  console.log(`bundled ${count} hooks`);
}
