import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { collectEvents, stackOf, startEngineBench, until, type EngineBench } from '../support/engine.js';

const minutes = 60_000;
const never = new AbortController().signal;

describe('a cell brought to its wish', () => {
  let bench: EngineBench;
  beforeAll(async () => {
    bench = await startEngineBench();
  }, minutes);
  afterAll(() => bench.close(), minutes);

  it(
    'reports each member while the update goes on, and plain previews then show no change',
    async () => {
      const { events, take } = collectEvents();
      const began = performance.now();
      const members = ['p-1-aa', 'p-2-bb', 'p-3-cc'].map((name) => bench.member(name));
      const result = await bench.engine.converge(bench.wish('c001', members), take, never);
      console.log('create 3', JSON.stringify({ events, result, ms: performance.now() - began }));
      expect(result.ok).toBe(true);
      const preview = await bench.plain(stackOf(bench, 'c001'), ['preview', '--diff']);
      console.log(preview.output);
      expect(preview.code).toBe(0);
    },
    3 * minutes,
  );
});
void until;
