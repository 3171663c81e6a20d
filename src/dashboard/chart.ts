import type { TrendPoint } from '../http/api.js';

/** A chart as SVG path data, in a box of that width and height. */
export interface ChartShapes {
  /** Bands from the bottom up: busy, free, unusable. */
  readonly bands: readonly { readonly key: 'busy' | 'free' | 'unusable'; readonly path: string }[];
  readonly waiting: string;
  /** The highest value that fits. */
  readonly top: number;
}

const stacked = ['busy', 'free', 'unusable'] as const;
type Xy = readonly [number, number];

/**
 * The counts over time: VMs by state stacked on each other, requests waiting as a line. Counts are steps, not
 * slopes: each holds until the next.
 *
 * @param now right edge, milliseconds since the epoch
 */
export function chartOf(
  points: readonly TrendPoint[],
  now: number,
  width: number,
  height: number,
): ChartShapes {
  const first = points[0];
  if (first === undefined) return { bands: [], waiting: '', top: 1 };
  const begin = Date.parse(first.at);
  const length = Math.max(1, now - begin);
  const top = Math.max(1, ...points.map((p) => Math.max(p.busy + p.free + p.unusable, p.waiting)));
  const x = (at: number): number => round(((at - begin) / length) * width);
  const y = (value: number): number => round(height - (value / top) * height);
  const steps = (valueOf: (p: TrendPoint) => number): Xy[] =>
    points.flatMap((point, index) => {
      const until = points[index + 1]?.at;
      const value = y(valueOf(point));
      // From edge to edge also where no time has passed yet.
      return [
        [index === 0 ? 0 : x(Date.parse(point.at)), value],
        [until === undefined ? width : x(Date.parse(until)), value],
      ] as const;
    });
  const level = (upTo: number) => (p: TrendPoint) =>
    stacked.slice(0, upTo).reduce((sum, key) => sum + p[key], 0);
  return {
    bands: stacked.map((key, index) => ({
      key,
      path: `${line([...steps(level(index + 1)), ...steps(level(index)).reverse()])}Z`,
    })),
    waiting: line(steps((p) => p.waiting)),
    top,
  };
}

const round = (value: number): number => Math.round(value * 10) / 10;
const line = (points: readonly Xy[]): string =>
  points.map(([x, y], index) => `${index === 0 ? 'M' : 'L'}${String(x)} ${String(y)}`).join('');
