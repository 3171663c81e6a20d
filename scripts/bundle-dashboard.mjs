/** Bundles the dashboard into dist/dashboard/: one page, one program, one style sheet, nothing from elsewhere. */
import { build } from 'esbuild';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const source = join(root, 'src', 'dashboard', 'browser');
const target = join(root, 'dist', 'dashboard');

/** Files appear whole: a running service reads them at its first request. */
async function put(name, content) {
  const beside = join(target, `.${name}.${process.pid}.new`);
  await writeFile(beside, content);
  await rename(beside, join(target, name));
}

const result = await build({
  entryPoints: [join(source, 'main.ts')],
  bundle: true,
  platform: 'browser',
  target: 'es2022',
  format: 'esm',
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  write: false,
  logLevel: 'warning',
});
await mkdir(target, { recursive: true });
await put('dashboard.js', result.outputFiles[0].text);
for (const name of ['index.html', 'dashboard.css']) await put(name, await readFile(join(source, name)));
