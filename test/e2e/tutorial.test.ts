import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { repoRoot } from '../../src/repo-root.js';
import { withAccount } from '../support/accounts.js';
import { firstPool, pagesOnThePool, Shell, shows, stepsOf, type Step } from '../support/tutorial.js';

const stepLimitMs = 600_000;

const place = '/var/tmp/first-pool';

/** What a reader puts in the place of the pages' examples. */
const readersPlace = `
timeout 300 sh -c 'until [ "$(vmpool vms --state Free | grep -c first-)" = 2 ] && [ "$(vmpool vms | grep -c first-)" = 2 ]; do sleep 1; done'
a_vm() { vmpool vms --state Free | grep -o -m 1 'first-[0-9]*-[a-z0-9]*' | head -1; }
export VM=$(a_vm)
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
    // It asks at a terminal, and its VM is another than the one that the page has retired before.
    .replaceAll('vmpool kill NAME', 'vmpool kill --yes "$(a_vm)"')
    .replaceAll(/\bNAME\b/g, '$VM')
    .replaceAll('why 28 ', 'why "$JOB" ')
    .replaceAll('make first-pool', 'make -C "$CHECKOUT" first-pool')
    .replaceAll('pulumi preview', 'pulumi --cwd "$CHECKOUT" preview')
    .replaceAll('batch-c001', 'first-c001')
    .replaceAll('/var/lib/vmpool', '$PWD/state')
    .replaceAll('Pulumi.batch.yaml', '$SHAPE')
    .replaceAll('/var/backups/vmpool', 'backups')
    .replaceAll(/vmpool (events --follow|top)\b/g, 'until_ctrl_c $&')
    .replaceAll(/^vmpool doctor$/gm, 'though_it_finds_something $&');

/** What the page says one sees, with the reader's names. */
const seenByReader = (seen: readonly string[]): readonly string[] =>
  seen.map((line) => line.replace(/\bbatch\b/g, 'first'));

/** One after the other in one shell; what it prints is compared with the page. */
function walk(shell: () => Shell, at: number, { title, commands, seen }: Step): void {
  it(
    `step ${String(at + 1)}, ${title}`,
    async () => {
      const said = await shell().run(commands, stepLimitMs);
      expect({ said, missing: seen.filter((line) => !shows(said, line)) }).toEqual({ said, missing: [] });
    },
    stepLimitMs + 10_000,
  );
}

function walkOnThePool(shell: () => Shell, page: string): void {
  for (const [at, step] of stepsOf(page).entries())
    walk(shell, at, { ...step, commands: inReadersWords(step.commands), seen: seenByReader(step.seen) });
}

describe('a reader who begins with the first pool', () => {
  const steps = stepsOf(firstPool);
  let accounts: string;
  let inside: readonly string[];
  let shell: Shell;

  const openShell = (): Shell => {
    const { PATH, HOME, LANG, VMPOOL_TEST_RUN, VMPOOL_CACHE, XDG_CACHE_HOME } = process.env;
    return new Shell(repoRoot, { PATH, HOME, LANG, VMPOOL_TEST_RUN, VMPOOL_CACHE, XDG_CACHE_HOME }, inside);
  };

  beforeAll(() => {
    // Somebody's own walk through the page is not this test's to remove.
    expect(existsSync(place)).toBe(false);
    accounts = mkdtempSync('/var/tmp/vmpool-tutorial-');
    inside = withAccount(accounts, 'dora', 58223);
    shell = openShell();
  });
  afterAll(async () => {
    await shell.close();
    rmSync(accounts, { recursive: true, force: true });
    rmSync(place, { recursive: true, force: true });
  });

  it('has steps, and says of most what one sees', () => {
    expect(steps.length).toBeGreaterThan(10);
    expect(steps.filter(({ seen }) => seen.length > 0).length).toBeGreaterThan(6);
  });

  // The last step takes away what the others made.
  for (const [at, step] of steps.slice(0, -1).entries()) walk(() => shell, at, step);

  for (const page of pagesOnThePool) {
    describe(`and there, ${page}`, () => {
      it(
        'a VM is Free, the pool has its size',
        async () => {
          await shell.run(readersPlace, stepLimitMs);
        },
        stepLimitMs + 10_000,
      );
      walkOnThePool(() => shell, page);
    });
  }

  for (const step of steps.slice(-1)) walk(() => shell, steps.length - 1, step);

  describe('and comes back another day, when that pool is gone, in another shell', () => {
    it('without a trace of the first', async () => {
      expect(existsSync(place)).toBe(false);
      await shell.close();
      shell = openShell();
    });

    // By the page's own first step; the last page's reader finds the pool there.
    for (const page of ['docs/tutorials/torque.md', 'docs/tutorials/monitoring.md'])
      describe(page, () => {
        it('begins in the checkout', async () => {
          await shell.run(
            `cd '${repoRoot}'\nCHECKOUT=$PWD\nuntil_ctrl_c() { timeout --signal INT 5 "$@" || [ $? -eq 124 ]; }`,
            5_000,
          );
        });
        walkOnThePool(() => shell, page);
      });

    for (const step of steps.slice(-1)) walk(() => shell, steps.length - 1, step);
  });
});
