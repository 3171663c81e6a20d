import type { PoolSummary } from '../../http/class-api.js';
import { takesWords } from '../../takes-words.js';
import { table } from '../table.js';
import { harmlessLine, type Paint } from '../terminal.js';

interface Owned {
  readonly pool?: string | undefined;
}

/** The column of a table whose entries are of several pools; none where there is only one. */
export const poolColumn = (entries: readonly Owned[]): readonly { readonly title: string }[] =>
  entries.some(({ pool }) => pool !== undefined) ? [{ title: 'POOL' }] : [];

/** Its cell in a row of a table with that column. */
export const poolCell = (column: ReturnType<typeof poolColumn>, { pool }: Owned): readonly string[] =>
  column.map(() => pool ?? '-');

/** Each pool in a line: how it is, and which jobs it takes. */
export const poolsText = (pools: readonly PoolSummary[], paint: Paint): string =>
  table(
    [
      { title: 'POOL' },
      { title: 'FREE', align: 'right' },
      { title: 'BUSY', align: 'right' },
      { title: 'UNUSABLE', align: 'right' },
      { title: 'WAITING', align: 'right' },
      { title: 'MAX', align: 'right' },
      { title: 'FLAVOR' },
      { title: 'TAKES', most: 100 },
    ],
    pools.map(({ name, counts, shape, paused, takes }) => [
      name,
      String(counts.free),
      String(counts.busy),
      String(counts.unusable),
      String(counts.waiting),
      shape === null ? '-' : String(shape.max),
      shape?.flavor ?? '-',
      [...(paused ? [paint('yellow', 'paused')] : []), harmlessLine(takesWords(takes))].join('; '),
    ]),
    paint,
  );
