import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { repoRoot } from '../../src/repo-root.js';
import { engineCache } from '../../scripts/engine/parts.mjs';
import { pagesInTheCheckout, Shell, shows, stepsOf } from '../support/tutorial.js';

const stepLimitMs = 300_000;

/** A pruned engine is not to be one that somebody uses: its parts are copied to a cache of the test's own. */
const readersPlace = `
until_ctrl_c() {
  "$@" > "$PLACE/said" &
  timeout 120 sh -c 'until [ -s "$PLACE/said" ]; do sleep 0.2; done'
  cat "$PLACE/said"
  kill -INT $!
  wait $!
}
mkdir -p "$PLACE/cache/engine"
[ ! -d "$ENGINE/parts" ] || cp -al "$ENGINE/parts" "$PLACE/cache/engine/" 2> /dev/null ||
  cp -a "$ENGINE/parts" "$PLACE/cache/engine/"
`;

/** The same commands with less to do: a reader has hours. */
const shorter = (commands: string): string =>
  commands
    .replaceAll(/^make sim .*$/gm, 'MUTANTS=no make sim SEED=1 STEPS=2000')
    .replaceAll('HOURS=8', 'HOURS=0.001')
    .replaceAll(/^make sim-nightly/gm, 'MUTANTS=no $&')
    .replaceAll('/var/tmp/embedded-cloud', '"$PLACE/cloud"')
    .replaceAll(/^node dist\/src\/embedded\/main\.js/gm, 'until_ctrl_c $&')
    .replaceAll('node scripts/engine/install.mjs', 'VMPOOL_CACHE="$PLACE/cache" $&');

describe.each(pagesInTheCheckout)('in the checkout, %s', (page) => {
  let place: string;
  let shell: Shell;
  beforeAll(async () => {
    place = mkdtempSync('/var/tmp/vmpool-page-');
    const { PATH, HOME, LANG, VMPOOL_TEST_RUN, VMPOOL_CACHE, XDG_CACHE_HOME } = process.env;
    const env = { PATH, HOME, LANG, VMPOOL_TEST_RUN, VMPOOL_CACHE, XDG_CACHE_HOME };
    shell = new Shell(repoRoot, { ...env, PLACE: place, ENGINE: engineCache() }, []);
    await shell.run(readersPlace, stepLimitMs);
  }, stepLimitMs + 10_000);
  afterAll(async () => {
    await shell.close();
    rmSync(place, { recursive: true, force: true });
  });

  it.each(stepsOf(page).map((step, at) => [at + 1, step.title, step] as const))(
    'step %d, %s',
    async (_at, _title, { commands, seen }) => {
      const said = await shell.run(shorter(commands), stepLimitMs);
      expect({ said, missing: seen.filter((line) => !shows(said, line)) }).toEqual({ said, missing: [] });
    },
    stepLimitMs + 10_000,
  );
});
