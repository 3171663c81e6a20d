/** Bundles the simulation and runs it: SEED=1 STEPS=1000000 node scripts/sim.mjs (see test/sim/main.ts). */
import { build } from 'esbuild';
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const outfile = join(root, '.cache', `sim-${process.pid}.mjs`);
mkdirSync(dirname(outfile), { recursive: true });
await build({
  entryPoints: [join(root, 'test/sim/main.ts')],
  bundle: true,
  platform: 'node',
  format: 'esm',
  sourcemap: 'inline',
  outfile,
});
const run = spawnSync(process.execPath, ['--enable-source-maps', outfile], { stdio: 'inherit' });
rmSync(outfile, { force: true });
process.exitCode = run.status ?? 1;
