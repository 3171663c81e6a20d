/** Bundles the dashboard into dist/dashboard/: one page, one program, one style sheet, nothing from elsewhere. */
import { build } from 'esbuild';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { putWhole } from './whole-file.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const source = join(root, 'src', 'dashboard', 'browser');
const target = join(root, 'dist', 'dashboard');

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
// A running service reads them at its first request.
await putWhole(join(target, 'dashboard.js'), result.outputFiles[0].text);
for (const name of ['index.html', 'dashboard.css'])
  await putWhole(join(target, name), await readFile(join(source, name)));
