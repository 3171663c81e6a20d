#!/usr/bin/env node
/**
 * Puts the fuzzer of the HTTP API in place: a virtual environment of Python's in the cache, with exactly the versions
 * of constraints.txt. Idempotent; what is there costs milliseconds. Needs python3 and PyPI, and apt for its venv module
 * where that is missing.
 */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { keepDaemonsDown, runChild } from '../child.mjs';
import { constraints, fuzzer } from './located.mjs';

const { dir, program } = fuzzer();
// Written last: an installation that broke off is made anew. Its scripts name their directory, so it is not moved.
const finished = join(dir, '.vmpool-finished');

async function step(what, command, args, options = {}) {
  const { why } = await runChild(command, args, { stdio: ['ignore', 'ignore', 'inherit'], ...options });
  if (why === null) return;
  console.error(`the fuzzer of the HTTP API could not be installed: ${what}: ${why}`);
  process.exit(1);
}

if (existsSync(finished) && existsSync(program)) process.exit(0);
const venv = await runChild('python3', ['-c', 'import ensurepip, venv'], { stdio: 'ignore' });
if (venv.why !== null) {
  const undo = keepDaemonsDown();
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const apt = ['-qq', '-o', 'DPkg::Lock::Timeout=300', '-o', 'Dpkg::Use-Pty=0'];
  await step('package lists', 'apt-get', [...apt, 'update'], { env });
  const wanted = ['install', '-y', '--no-install-recommends', 'python3', 'python3-venv'];
  await step('python3-venv', 'apt-get', [...apt, ...wanted], { env });
  undo();
}
rmSync(dir, { recursive: true, force: true });
mkdirSync(dirname(dir), { recursive: true });
await step('its virtual environment', 'python3', ['-m', 'venv', dir]);
const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-input'];
// The list is the whole of what is installed: what it forgets is an error, not a version of today's.
await step('its packages (is PyPI reachable?)', join(dir, 'bin', 'python'), [
  ...pip,
  ...['--no-deps', '--requirement', constraints],
]);
await step('its packages do not fit together', join(dir, 'bin', 'python'), ['-m', 'pip', 'check']);
writeFileSync(finished, '');
