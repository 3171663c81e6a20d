import { build } from 'esbuild';
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Script } from 'node:vm';
import { TestCollector } from './test-collector.mjs';

/** The core's own tests. */
const testDirectory = 'test/fast/pool';
/** Its story in the simulated site takes longer than all the others together; broken cores are tried on it in test/sim. */
const leftOut = 'simulation.test.ts';

/**
 * Bundles the core's tests with all that they import of the project. What comes back makes every module anew and collects
 * the tests, each time that it is called: a mutant in what runs at load time is seen as well.
 *
 * @param {string} root a copy of the project, whose core may be instrumented
 * @returns {Promise<() => import('./test-collector.mjs').CollectedTest[]>}
 */
export async function bundleTests(root) {
  const files = readdirSync(join(root, testDirectory)).filter(
    (name) => name.endsWith('.test.ts') && name !== leftOut,
  );
  if (files.length === 0) throw new Error(`there are no tests in ${join(root, testDirectory)}`);
  const built = await build({
    stdin: {
      contents: files
        .map((name) => `inFile(${JSON.stringify(name)}, () => require('./${testDirectory}/${name}'));`)
        .join('\n'),
      resolveDir: root,
    },
    bundle: true,
    write: false,
    platform: 'node',
    format: 'cjs',
    external: ['@jest/globals', 'fast-check', 'zod'],
    logLevel: 'error',
  });
  const text = built.outputFiles[0].text;
  const load = new Script(`(function (require, inFile) {${text}\n})`, {
    filename: 'pool-tests.cjs',
  }).runInThisContext();
  const provided = createRequire(import.meta.url);
  return () => {
    const collector = new TestCollector();
    load(
      (name) => (name === '@jest/globals' ? collector.globals : provided(name)),
      (file, loadFile) => collector.fromFile(join(testDirectory, file), loadFile),
    );
    return collector.tests;
  };
}
