import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { repoRoot } from '../../src/repo-root.js';
import { withAccount } from '../support/accounts.js';
import { pagesOnThePool, Shell, shows, stepsOf, type Step } from '../support/tutorial.js';

const stepLimitMs = 600_000;

/** What a reader puts in the place of the pages' examples. */
const readersPlace = `
timeout 300 sh -c 'until [ "$(vmpool vms --state Free | grep -c first-)" = 2 ] && [ "$(vmpool vms | grep -c first-)" = 2 ]; do sleep 1; done'
export VM=$(vmpool vms --state Free | grep -o -m 1 'first-[0-9]*-[a-z0-9]*' | head -1)
export JOB=$(vmpool usage --by job --csv | sed -n 2p | cut -d , -f 1)
export SHAPE=$PWD/project/Pulumi.first.yaml
# Nobody plays a worker of Torque here: the doctor tells that none has ever synced.
though_it_finds_something() { "$@" || [ $? -eq 1 ]; }
until_ctrl_c() { timeout --signal INT 5 "$@" || [ $? -eq 124 ]; }
mkdir -p -m 700 backups
[ -n "$VM" ] && [ -n "$JOB" ]
`;

const inReadersWords = (commands: string): string =>
  commands
    .replaceAll(/\bNAME\b/g, '$VM')
    .replaceAll('why 28 ', 'why "$JOB" ')
    .replaceAll('Pulumi.batch.yaml', '$SHAPE')
    .replaceAll('/var/backups/vmpool', 'backups')
    .replaceAll(/vmpool (events --follow|top)\b/g, 'until_ctrl_c $&')
    .replaceAll(/^vmpool doctor$/gm, 'though_it_finds_something $&');

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

  const walk = (at: number, { title, commands, seen }: Step): void => {
    it(
      `step ${String(at + 1)}, ${title}`,
      async () => {
        const said = await shell.run(commands, stepLimitMs);
        expect({ said, missing: seen.filter((line) => !shows(said, line)) }).toEqual({ said, missing: [] });
      },
      stepLimitMs + 10_000,
    );
  };

  // The last step takes away what the others made.
  for (const [at, step] of steps.slice(0, -1).entries()) walk(at, step);

  for (const page of pagesOnThePool) {
    describe(`and there, ${page}`, () => {
      it(
        'a VM is Free, the pool has its size',
        async () => {
          await shell.run(readersPlace, stepLimitMs);
        },
        stepLimitMs + 10_000,
      );
      for (const [at, step] of stepsOf(join(repoRoot, page)).entries())
        walk(at, { ...step, commands: inReadersWords(step.commands) });
    });
  }

  for (const step of steps.slice(-1)) walk(steps.length - 1, step);
});
