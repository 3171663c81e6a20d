import Table from 'cli-table3';
import { bare, type Paint } from './terminal.js';

const noBorders = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
  /** Cut, with an ellipsis, at so many characters. */
  readonly most?: number;
}

/** A table without borders; cells may be painted. */
export const table = (
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  paint: Paint,
): string => {
  const made = new Table({
    head: columns.map(({ title }) => paint('bold', title)),
    chars: noBorders,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
    colAligns: columns.map(({ align }) => align ?? 'left'),
  });
  for (const row of rows) {
    made.push(row.map((cell, at) => cut(cell, columns[at]?.most)));
  }
  return made
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
};

/** Shortens text to `most` visible characters. */
export const cut = (text: string, most: number | undefined): string => {
  const visible = bare(text);
  if (most === undefined || visible.length <= most) return text;
  const short = `${visible.slice(0, Math.max(1, most - 1))}…`;
  // One paint over the whole cell is kept.
  // eslint-disable-next-line no-control-regex -- this is how terminals are painted
  const [, on, inner, off] = /^(\u001b\[\d+m)([^\u001b]*)(\u001b\[\d+m)$/.exec(text) ?? [];
  return inner === undefined ? short : `${on ?? ''}${short}${off ?? ''}`;
};

/** `3.2 s`, `45 s`, `12 min`, `3.5 h`, `9 d`: how long, from milliseconds, for people. */
export const howLong = (ms: number): string => {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${String(Math.round(seconds))} s`;
  if (seconds < 7200) return `${String(Math.round(seconds / 60))} min`;
  if (seconds < 172_800) return `${(seconds / 3600).toFixed(1)} h`;
  return `${String(Math.round(seconds / 86_400))} d`;
};

/** `9s`, `3m`, `5h`, `12d`: an age for a column, from milliseconds. Cut off, not rounded: `3m` has seen three minutes. */
export const age = (ms: number): string => {
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  if (seconds < 120) return `${String(seconds)}s`;
  if (seconds < 2 * 3600) return `${String(Math.floor(seconds / 60))}m`;
  if (seconds < 48 * 3600) return `${String(Math.floor(seconds / 3600))}h`;
  return `${String(Math.floor(seconds / 86_400))}d`;
};

/** `1 VM`, `2 VMs`. */
export const count = (number: number, one: string, many = `${one}s`): string =>
  `${String(number)} ${number === 1 ? one : many}`;
