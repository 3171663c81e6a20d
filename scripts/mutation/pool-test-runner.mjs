import { INSTRUMENTER_CONSTANTS } from '@stryker-mutator/api/core';
import { declareClassPlugin, PluginKind } from '@stryker-mutator/api/plugin';
import {
  determineHitLimitReached,
  DryRunStatus,
  TestStatus,
  toMutantRunResult,
} from '@stryker-mutator/api/test-runner';
import fastCheck from 'fast-check';
import { bundleTests } from './test-bundle.mjs';

/** Through it the instrumented core learns which mutant is on; it must stay the same object. */
const instrumented = () => (globalThis[INSTRUMENTER_CONSTANTS.NAMESPACE] ??= {});

/** Properties try the same values with every mutant: one that lives today lives tomorrow. */
const propertySeed = 20_261_125;

/**
 * Stryker's door to the pool's tests: they run in this process, for each mutant those that reach it, the quickest first,
 * until one fails. (A run of Jest for each of thousands of mutants would take hours.)
 */
class PoolTestRunner {
  #collect = () => [];
  /** Milliseconds that each test took without a mutant. */
  #usual = new Map();

  capabilities() {
    return { reloadEnvironment: true };
  }

  async init() {
    fastCheck.configureGlobal({ seed: propertySeed, endOnFailure: true });
    this.#collect = await bundleTests(process.cwd());
  }

  async dryRun({ coverageAnalysis, disableBail }) {
    const context = instrumented();
    delete context.activeMutant;
    context.mutantCoverage = { static: {}, perTest: {} };
    const tests = await this.#run(this.#collect(), disableBail, coverageAnalysis === 'perTest');
    for (const { id, timeSpentMs } of tests) this.#usual.set(id, timeSpentMs);
    return { status: DryRunStatus.Complete, tests, mutantCoverage: context.mutantCoverage };
  }

  async mutantRun({ activeMutant, disableBail, hitLimit, mutantActivation, testFilter }) {
    const context = instrumented();
    const activate = () => {
      context.activeMutant = activeMutant.id;
      if (hitLimit !== undefined) Object.assign(context, { hitCount: 0, hitLimit });
    };
    for (const key of ['activeMutant', 'hitCount', 'hitLimit']) delete context[key];
    try {
      if (mutantActivation === 'static') activate();
      const wanted = testFilter === undefined ? null : new Set(testFilter);
      const tests = this.#collect().filter(({ id }) => wanted?.has(id) ?? true);
      activate();
      const results = await this.#run(this.#quickestFirst(tests), disableBail, false);
      const looping = determineHitLimitReached(context.hitCount, hitLimit);
      return toMutantRunResult(looping ?? { status: DryRunStatus.Complete, tests: results });
    } catch (error) {
      // A core that cannot even be loaded is found by every test.
      return toMutantRunResult({
        status: DryRunStatus.Complete,
        tests: [failure('loading the core', 0, error)],
      });
    } finally {
      delete context.activeMutant;
    }
  }

  /** A process that took the place of another knows no times: then in the order of the files. */
  #quickestFirst(tests) {
    const usual = ({ id }) => this.#usual.get(id) ?? 0;
    return [...tests].sort((a, b) => usual(a) - usual(b));
  }

  async #run(tests, toTheEnd, noteCoverage) {
    const context = instrumented();
    const results = [];
    for (const { id, file, run } of tests) {
      if (noteCoverage) context.currentTestId = id;
      const began = performance.now();
      try {
        await run();
        const timeSpentMs = performance.now() - began;
        results.push({ id, name: id, fileName: file, timeSpentMs, status: TestStatus.Success });
      } catch (error) {
        results.push(failure(id, performance.now() - began, error));
        if (!toTheEnd) break;
      } finally {
        delete context.currentTestId;
      }
    }
    return results;
  }
}

const failure = (id, timeSpentMs, error) => ({
  id,
  name: id,
  timeSpentMs,
  status: TestStatus.Failed,
  failureMessage: error instanceof Error ? error.message : String(error),
});

export const strykerPlugins = [declareClassPlugin(PluginKind.TestRunner, 'pool-tests', PoolTestRunner)];
