/**
 * Changes the core in small ways, one at a time, and looks whether its tests notice (see docs/reference/testing.md):
 *
 *   node scripts/mutation/run.mjs [FILE,FILE...]      src/pool/*.ts when no file is named
 *
 * Its tools are installed here, and only when it runs: nothing else needs them.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runChild } from '../child.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(dirname(here));

async function mustRun(command, args, cwd) {
  const { why } = await runChild(command, args, { cwd });
  if (why === null) return;
  console.error(`\n${command} ${args.join(' ')}: ${why}`);
  process.exit(1);
}

const stamp = join(here, 'node_modules', '.vmpool-setup');
const wanted = createHash('sha256')
  .update(readFileSync(join(here, 'package-lock.json')))
  .digest('hex');
if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted) {
  await mustRun('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], here);
  writeFileSync(stamp, wanted);
}
const stryker = join(here, 'node_modules', '@stryker-mutator', 'core', 'bin', 'stryker.js');
const files = process.argv[2] === undefined || process.argv[2] === '' ? [] : ['--mutate', process.argv[2]];
await mustRun(process.execPath, [stryker, 'run', join(here, 'stryker.json'), ...files], root);
