import { describe, expect, it } from '@jest/globals';
import { chartOf } from '../../../src/dashboard/chart.js';

const at = (seconds: number): string => new Date(seconds * 1000).toISOString();

describe('the chart', () => {
  it('stacks the states as steps and fits the highest count', () => {
    const chart = chartOf(
      [
        { at: at(0), free: 2, busy: 0, unusable: 0, waiting: 0 },
        { at: at(5), free: 1, busy: 1, unusable: 2, waiting: 1 },
      ],
      10_000,
      100,
      40,
    );
    expect(chart.top).toBe(4);
    expect(chart.bands.map(({ key }) => key)).toEqual(['busy', 'free', 'unusable']);
    // Half of the time none busy, then one of four.
    expect(chart.bands[0]?.path).toBe('M0 40L50 40L50 30L100 30L100 40L50 40L50 40L0 40Z');
    expect(chart.waiting).toBe('M0 40L50 40L50 30L100 30');
  });

  it('is empty without points, and has no holes when all counts are nought', () => {
    expect(chartOf([], 1, 10, 10).bands).toEqual([]);
    const flat = chartOf([{ at: at(1), free: 0, busy: 0, unusable: 0, waiting: 0 }], 1000, 10, 10);
    expect(JSON.stringify(flat)).not.toMatch(/NaN|Infinity/);
  });
});
