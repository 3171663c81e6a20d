#!/usr/bin/env node
/**
 * Are there known advisories against the packages that package-lock.json names? Exit code 0: none, or the registry
 * cannot be asked (said in a line: an advisory would be found at the next run, and no network is no defect of this
 * checkout). 1: there are, each named with what mends it. `--strict`: 1 also where the registry cannot be asked.
 */
import { spawnSync } from 'node:child_process';
import { pathToFileURL } from 'node:url';

/** What `npm audit --json` printed, in words. */
export function verdict(text) {
  let report;
  try {
    report = JSON.parse(text);
  } catch {
    return { kind: 'unanswered', why: 'npm gave no report' };
  }
  const { vulnerabilities } = report;
  if (typeof vulnerabilities !== 'object' || vulnerabilities === null) {
    const why = report.error?.summary || report.message || 'the registry does not answer audits';
    return { kind: 'unanswered', why: String(why).split('\n')[0] };
  }
  const found = Object.values(vulnerabilities).map(({ name, severity, via, fixAvailable }) => {
    const titles = via.map((one) =>
      typeof one === 'string' ? `through ${one}` : `${one.title} (${one.url})`,
    );
    const mend =
      fixAvailable === true
        ? 'npm audit fix'
        : fixAvailable
          ? `${fixAvailable.name}@${fixAvailable.version}`
          : 'no fixed version yet';
    return `${name}: ${severity}: ${titles.join('; ')}; mended by: ${mend}`;
  });
  return found.length === 0 ? { kind: 'clean' } : { kind: 'found', found };
}

function main() {
  const args = ['audit', '--json', '--package-lock-only', '--fetch-retries=1', '--fetch-timeout=60000'];
  const { stdout, error } = spawnSync('npm', args, {
    encoding: 'utf8',
    timeout: 180_000,
    maxBuffer: 64 * 1024 * 1024,
  });
  const said = error === undefined ? verdict(stdout) : { kind: 'unanswered', why: error.message };
  if (said.kind === 'clean') console.log('audit: no known advisory against any package of package-lock.json');
  if (said.kind === 'unanswered') {
    console.log(
      `audit: NOT DONE, the registry could not be asked (${said.why}). Run make audit where it can be.`,
    );
    process.exitCode = process.argv.includes('--strict') ? 1 : 0;
  }
  if (said.kind === 'found') {
    for (const line of said.found) console.error(`audit: ${line}`);
    process.exitCode = 1;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main();
