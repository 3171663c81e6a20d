import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { repoRoot } from '../../src/repo-root.js';
import { withAccount } from '../support/accounts.js';
import { Shell, shows, stepsOf } from '../support/tutorial.js';

const stepLimitMs = 600_000;

describe('the tutorial of the first pool', () => {
  const place = '/var/tmp/first-pool';
  let accounts: string;
  let shell: Shell;

  beforeAll(() => {
    // Somebody's own walk through the page is not this test's to remove.
    expect(existsSync(place)).toBe(false);
    accounts = mkdtempSync('/var/tmp/vmpool-tutorial-');
    const { PATH, HOME, LANG, VMPOOL_TEST_RUN, XDG_CACHE_HOME } = process.env;
    const env = { PATH, HOME, LANG, VMPOOL_TEST_RUN, XDG_CACHE_HOME };
    shell = new Shell(repoRoot, env, withAccount(accounts, 'dora', 58223));
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
