import { cut, table, type Column } from './table.js';
import { visibleLength, type Paint } from './terminal.js';

export interface FittedColumn extends Column {
  /** Gives way first where the line is too wide: cut down to so many characters. */
  readonly least?: number;
  /** Left out where cutting is not enough; the highest number goes first. Absent: never. */
  readonly drop?: number;
}

const gap = 2;

const widths = (columns: readonly FittedColumn[], rows: readonly (readonly string[])[]): number[] =>
  columns.map(({ title, most = Infinity }, at) =>
    rows.reduce(
      (widest, row) => Math.max(widest, Math.min(most, visibleLength(row[at] ?? ''))),
      title.length,
    ),
  );

const total = (all: readonly number[]): number =>
  all.reduce((sum, width) => sum + width, 0) + gap * Math.max(0, all.length - 1);

/**
 * A table no wider than `width` characters: the columns that may be cut are cut, then those that may be left out are
 * left out. Cells must be of one line. `Infinity`, for programs and pipes, cuts nothing.
 */
export const fitted = (
  columns: readonly FittedColumn[],
  rows: readonly (readonly string[])[],
  paint: Paint,
  width: number,
): string => {
  const wide = widths(columns, rows);
  const over = total(wide) - width;
  if (over <= 0) return table(columns, rows, paint);
  const most = [...wide];
  let left = over;
  // The widest give most.
  const cuttable = columns.flatMap(({ least, title }, at) =>
    least === undefined ? [] : [{ at, least: Math.max(least, title.length) }],
  );
  while (left > 0) {
    const [widest] = cuttable
      .filter(({ at, least }) => (most[at] ?? 0) > least)
      .sort((a, b) => (most[b.at] ?? 0) - (most[a.at] ?? 0));
    if (widest === undefined) break;
    most[widest.at] = (most[widest.at] ?? 0) - 1;
    left -= 1;
  }
  if (left <= 0)
    return table(
      columns.map((column, at) => ({ ...column, most: most[at] ?? 0 })),
      rows,
      paint,
    );
  const dropped = columns
    .map(({ drop = 0 }, at) => ({ drop, at }))
    .sort((a, b) => b.drop - a.drop)
    .find(({ drop }) => drop > 0)?.at;
  if (dropped === undefined) {
    // Nothing more can be left out: better a cut line than a wrapped one.
    return table(columns, rows, paint)
      .split('\n')
      .map((line) => cut(line, Math.max(1, width)))
      .join('\n');
  }
  const rest = <T>(list: readonly T[]): T[] => list.filter((_, at) => at !== dropped);
  return fitted(rest(columns), rows.map(rest), paint, width);
};
