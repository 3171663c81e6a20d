/** Figures of the benchmarks: rows, what is wanted of them, the table, and `bench/results.json`. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

/** The value below which a share `q` of all lies. */
export const quantile = (values, q) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
};
export const median = (values) => quantile(values, 0.5);
/** The two figures of many. */
export const spread = (values) => ({ p50: median(values), p99: quantile(values, 0.99) });

/** Least squares: by how much `y` grows with each step of 1 in `x`. `points`: pairs [x, y]. */
export function slope(points) {
  const mean = (at) => points.reduce((sum, point) => sum + point[at], 0) / points.length;
  const [mx, my] = [mean(0), mean(1)];
  const across = points.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0);
  return across / points.reduce((sum, [x]) => sum + (x - mx) ** 2, 0);
}

/**
 * What is wanted of a row. `holds(row, slack)`: is it met, if each limit is a factor `slack` wider?
 *
 * `busy` is how many times its floor an absolute limit is on a machine where both are quick: the guard, which runs on busy
 * machines as well, lets that count too.
 */
export const atMost = (limit, { of = 'p50', unit = '', busy = null } = {}) => ({
  text: `${of === 'p50' ? '' : `${of} `}<= ${limit}${unit === '' ? '' : ` ${unit}`}`,
  holds: (row, slack) =>
    row[of] <= limit * slack || (slack > 1 && busy !== null && row[of] <= busy * row.floor * slack),
});
export const timesFloor = (factor, { of = 'p50' } = {}) => ({
  text: `${of} <= ${factor}x floor`,
  holds: (row, slack) => row[of] <= factor * row.floor * slack,
});
/** `more` may be negative. */
export const timesFloorPlus = (factor, more, unit) => {
  const beyond = more === 0 ? '' : ` ${more < 0 ? '-' : '+'} ${Math.abs(more)} ${unit}`;
  return {
    text: `p50 <= ${factor === 1 ? '' : `${factor}x `}floor${beyond}`,
    holds: (row, slack) => row.p50 <= (factor * row.floor + more) * slack,
  };
};
export const atLeastOfFloor = (share, text) => ({
  text: `>= ${text} of floor`,
  holds: (row, slack) => row.p50 >= (share * row.floor) / slack,
});
/** Something beside the figures that no slack excuses. */
export const also = (text, is) => ({ text, holds: () => is });

/**
 * A measured row. `p50` is the figure itself where there is only one; `floor` was measured in the same run. Without
 * `wanted` it is only told, and never missed.
 */
export const row = (name, unit, { p50, p99 = null, floor = null, wanted = [] }) => {
  const values = { p50, ...(p99 === null ? {} : { p99 }), ...(floor === null ? {} : { floor }) };
  for (const [key, value] of Object.entries(values))
    if (!Number.isFinite(value)) throw new Error(`${name}: ${key} is ${value}, which is no figure`);
  return { name, unit, p50, p99, floor, wanted };
};

const round = (value) => (value === null ? null : Number(value.toPrecision(4)));
export const isMet = (measured, slack = 1) => measured.wanted.every((limit) => limit.holds(measured, slack));

/** As it stands in `bench/results.json`: figures of four digits. `met` is null where nothing is wanted. */
export const resultOf = (measured, slack = 1) => {
  const { name, unit, p50, p99, floor, wanted } = measured;
  const figures = { p50: round(p50), p99: round(p99), floor: round(floor) };
  const ratio = floor === null || floor === 0 ? null : round(p50 / floor);
  const told = wanted.length === 0;
  return {
    ...{ name, unit, ...figures, ratio, wanted: told ? 'told' : wanted.map(({ text }) => text).join(', ') },
    met: told ? null : isMet(measured, slack),
  };
};

/** By how much of its beginning each figure grows over all that was seen, by the least squares. */
export const slopeRows = (what, seen, figures) =>
  figures.map(([key, name, unit]) => {
    const points = seen.map((one, n) => [n / (seen.length - 1), one[key]]);
    const grows = slope(points);
    const start = median(seen.slice(0, Math.ceil(seen.length / 4)).map((one) => one[key]));
    return row(`${what}: ${name} at the end, by its slope, beside that at the start`, unit, {
      ...{ p50: start + grows, floor: start, wanted: [timesFloor(1.3)] },
    });
  });

const columns = ['name', 'unit', 'p50', 'p99', 'floor', 'ratio', 'wanted', 'met'];
/** Results as lines of text, a head before them. */
export function tableOf(results) {
  const cell = (value) => (value === null ? '' : String(value));
  const lines = [columns, ...results.map((one) => columns.map((key) => cell(one[key])))];
  const widths = columns.map((_, n) => Math.max(...lines.map((line) => line[n].length)));
  return lines.map((line) =>
    line
      .map((text, n) => text.padEnd(widths[n]))
      .join('  ')
      .trimEnd(),
  );
}

/** Puts the results into the file: those of the same name are replaced, the others stay. */
export function keepResults(path, results) {
  const names = new Set(results.map(({ name }) => name));
  const before = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : [];
  const all = [...before.filter(({ name }) => !names.has(name)), ...results];
  writeFileSync(path, `${JSON.stringify(all, null, 2)}\n`);
}

/** The judge's last words: of what something is wanted of, how much is met. The exit code is 1 when something is not. */
export function verdictOf(results) {
  const judged = results.filter(({ met }) => met !== null);
  const missed = judged.filter(({ met }) => !met);
  return {
    text: `bench: ${judged.length - missed.length} checks passed, ${missed.length} failed`,
    missed: missed.map(({ name }) => name),
  };
}
