import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repoRoot } from '../../src/repo-root.js';
import { Shell, shows, stepsOf } from '../support/tutorial.js';

/** Gives the shell accounts of its own: a user whom no machine has, and nothing of it on this machine. */
const withUser = 'mount --bind "$1" /etc/passwd && mount --bind "$2" /etc/group && shift 2 && exec "$@"';
const stepLimitMs = 600_000;

describe('the tutorial of the first pool', () => {
  const place = '/var/tmp/first-pool';
  let accounts: string;
  let shell: Shell;

  beforeAll(() => {
    // Somebody's own walk through the page is not this test's to remove.
    expect(existsSync(place)).toBe(false);
    accounts = mkdtempSync('/var/tmp/vmpool-tutorial-');
    const file = (name: string, line: string): string => {
      writeFileSync(join(accounts, name), `${readFileSync(`/etc/${name}`, 'utf8')}${line}\n`);
      return join(accounts, name);
    };
    const files = [
      file('passwd', 'dora:x:58223:58223::/home/dora:/bin/bash'),
      file('group', 'dora:x:58223:'),
    ];
    const { PATH, HOME, LANG, VMPOOL_TEST_RUN, XDG_CACHE_HOME } = process.env;
    const env = { PATH, HOME, LANG, VMPOOL_TEST_RUN, XDG_CACHE_HOME };
    const inside = ['unshare', '-m', '--propagation', 'private', 'sh', '-c', withUser, 'sh', ...files];
    shell = new Shell(repoRoot, env, inside);
  });
  afterAll(async () => {
    await shell.close();
    rmSync(accounts, { recursive: true, force: true });
    rmSync(place, { recursive: true, force: true });
  });

  const steps = stepsOf(join(repoRoot, 'docs/tutorials/first-pool.md'));

  it('has steps, and says of most what one sees', () => {
    expect(steps.length).toBeGreaterThan(10);
    expect(steps.filter(({ seen }) => seen.length > 0).length).toBeGreaterThan(6);
  });

  for (const [at, { title, commands, seen }] of steps.entries()) {
    it(
      `step ${String(at + 1)}, ${title}`,
      async () => {
        const said = await shell.run(commands, stepLimitMs);
        expect({ said, missing: seen.filter((line) => !shows(said, line)) }).toEqual({ said, missing: [] });
      },
      stepLimitMs + 10_000,
    );
  }
});
