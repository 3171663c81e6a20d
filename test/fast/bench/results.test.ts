import { afterAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  also,
  atLeastOfFloor,
  atMost,
  keepResults,
  quantile,
  resultOf,
  row,
  slope,
  slopeRows,
  tableOf,
  timesFloor,
  timesFloorPlus,
  verdictOf,
} from '../../../bench/results.mjs';

const directory = mkdtempSync(join(tmpdir(), 'vmpool-results-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('a row of the benchmarks', () => {
  it('has these eight fields, figures of four digits, and the ratio to its floor', () => {
    const wanted = [timesFloor(3), timesFloor(12, { of: 'p99' })];
    const lease = row('lease', 'ms', { p50: 5.123456, p99: 31.23456, floor: 2, wanted });
    expect(resultOf(lease)).toEqual({
      ...{ name: 'lease', unit: 'ms', p50: 5.123, p99: 31.23, floor: 2, ratio: 2.562 },
      ...{ wanted: 'p50 <= 3x floor, p99 <= 12x floor', met: false },
    });
    expect(resultOf(lease, 2).met).toBe(true);
  });

  it('is neither met nor missed where nothing is wanted of it, and its floor is not divided by when there is none', () => {
    expect(resultOf(row('told', 'ms', { p50: 5 }))).toEqual({
      ...{ name: 'told', unit: 'ms', p50: 5, p99: null, floor: null, ratio: null, wanted: 'told', met: null },
    });
    expect(resultOf(row('from nothing', 'ms', { p50: 5, floor: 0 })).ratio).toBeNull();
  });

  it('is refused without a figure: nothing measured must not pass', () => {
    expect(() => row('none', 'ms', { p50: quantile([], 0.5) })).toThrow('none: p50 is undefined');
    expect(() => row('none', 'ms', { p50: 1, floor: Number.NaN })).toThrow('none: floor is NaN');
  });
});

describe('what is wanted', () => {
  const met = (p50: number, limit: ReturnType<typeof atMost>, floor = 10): readonly [boolean, boolean] => {
    const measured = row('r', 'ms', { p50, floor, wanted: [limit] });
    return [resultOf(measured).met === true, resultOf(measured, 2).met === true];
  };

  it.each([
    ['an absolute limit', atMost(100, { unit: 'ms' }), [100, 200, 201]],
    ['times the floor', timesFloor(3), [30, 60, 61]],
    ['the floor and something', timesFloorPlus(2, 5, 'ms'), [25, 50, 51]],
  ])('%s is widened by the slack of the guard', (_, limit, [within, twice, beyond]) => {
    expect(met(within ?? 0, limit)).toEqual([true, true]);
    expect(met(twice ?? 0, limit)).toEqual([false, true]);
    expect(met(beyond ?? 0, limit)).toEqual([false, false]);
  });

  it('a rate is wanted from below', () => {
    expect(met(5, atLeastOfFloor(0.5, 'half'))).toEqual([true, true]);
    expect(met(2.5, atLeastOfFloor(0.5, 'half'))).toEqual([false, true]);
    expect(met(2.4, atLeastOfFloor(0.5, 'half'))).toEqual([false, false]);
  });

  it('an absolute limit lets the guard, and only the guard, count a floor that is slow on a busy machine', () => {
    const limit = atMost(100, { busy: 5 });
    expect(met(900, limit, 100)).toEqual([false, true]);
    expect(met(1_001, limit, 100)).toEqual([false, false]);
  });

  it('no slack excuses what is said beside the figures', () => {
    expect(met(1, also('all granted', false))).toEqual([false, false]);
  });
});

describe('the judge', () => {
  const one = (name: string, p50: number): ReturnType<typeof resultOf> =>
    resultOf(row(name, 'ms', { p50, wanted: [atMost(10)] }));

  it('counts what is met of what something is wanted of, and names the rest', () => {
    const told = resultOf(row('told', 'ms', { p50: 1 }));
    const { text, missed } = verdictOf([one('a', 1), one('b', 11), told, one('c', 10)]);
    expect(text).toBe('bench: 2 checks passed, 1 failed');
    expect(missed).toEqual(['b']);
  });

  it('shows every result as a line of the table', () => {
    const lines = tableOf([one('a', 1), one('a longer name', 123)]);
    expect(lines[0]).toMatch(/^name +unit +p50 +p99 +floor +ratio +wanted +met$/);
    expect(lines.slice(1)).toEqual([
      expect.stringMatching(/^a +ms +1 +<= 10 +true$/),
      expect.stringMatching(/^a longer name +ms +123 +<= 10 +false$/),
    ]);
  });

  it('keeps results of other runs in the file, and the newest of each name', () => {
    const path = join(directory, 'results.json');
    keepResults(path, [one('a', 1), one('b', 2)]);
    keepResults(path, [one('b', 3), one('c', 4)]);
    const kept = JSON.parse(readFileSync(path, 'utf8')) as ReturnType<typeof resultOf>[];
    expect(kept.map(({ name, p50 }) => [name, p50])).toEqual([
      ['a', 1],
      ['b', 3],
      ['c', 4],
    ]);
  });
});

describe('a slope', () => {
  it('is that of the line through the points, whatever their noise', () => {
    expect(
      slope([
        [0, 1],
        [1, 3],
        [2, 5],
      ]),
    ).toBeCloseTo(2);
    expect(
      slope([
        [0, 1],
        [1, 0],
        [2, 1],
        [3, 0],
      ]),
    ).toBeCloseTo(-0.2);
  });
});

describe('the growth of many looks', () => {
  it('is told as the figure at the end, by the slope of all of them, beside that at the start', () => {
    const seen = [10, 11, 12, 13, 14].map((ms) => ({ ms, mb: 100 }));
    const rows = slopeRows('work', seen, [
      ['ms', 'latency', 'ms'],
      ['mb', 'memory', 'MB'],
    ]).map((one) => resultOf(one));
    expect(rows.map(({ p50, floor, met }) => [p50, floor, met])).toEqual([
      [15, 11, false],
      [100, 100, true],
    ]);
  });

  it('a single odd look does not make it', () => {
    const seen = [10, 10, 10, 30, 10, 10, 10].map((ms) => ({ ms }));
    expect(resultOf(slopeRows('work', seen, [['ms', 'latency', 'ms']])[0]!).met).toBe(true);
  });
});
