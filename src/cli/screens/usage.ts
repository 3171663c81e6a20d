import type { UsageView } from '../../http/usage-api.js';
import { fitted, type FittedColumn } from '../fitted.js';
import { count, howLong } from '../table.js';
import type { Paint } from '../terminal.js';

type Row = UsageView['rows'][number];

/** Hours with one digit behind the point: what accounts are kept in. */
const hours = (seconds: number): string => (seconds / 3600).toFixed(1);

const meanWait = ({ waitSeconds, leases }: Row): string =>
  leases === 0 ? '' : howLong((waitSeconds / leases) * 1000);

const share = (part: number, whole: number): string =>
  whole === 0 ? '' : `${((100 * part) / whole).toFixed(1)} %`;

/** A table, its sum, and of what time it is. */
export const usageText = (view: UsageView, paint: Paint, width: number): string => {
  const { by, rows, total } = view;
  const time = `${view.since.slice(0, 16)} to ${view.until.slice(0, 16)} UTC`;
  if (rows.length === 0) return `No lease ended from ${time}.`;
  const columns: FittedColumn[] = [
    ...by.map((group) => ({ title: group.toUpperCase(), least: 8 })),
    { title: 'LEASES', align: 'right' },
    { title: 'VM HOURS', align: 'right' },
    { title: 'CORE HOURS', align: 'right' },
    { title: 'SHARE', align: 'right', drop: 2 },
    { title: 'MEAN WAIT', align: 'right', drop: 1 },
    { title: 'LONGEST', align: 'right', drop: 3 },
  ];
  const cells = (row: Row, keys: readonly string[]): string[] => [
    ...keys,
    String(row.leases),
    hours(row.vmSeconds),
    hours(row.processorSeconds),
    share(row.vmSeconds, total.vmSeconds),
    meanWait(row),
    howLong(row.longestWaitSeconds * 1000),
  ];
  const sum = by.map((_, at) => (at === 0 ? 'total' : ''));
  const lines = [
    ...rows.map((row) =>
      cells(
        row,
        row.keys.map((key) => (key === '' ? '-' : key)),
      ),
    ),
    ...(rows.length > 1 ? [cells(total, sum).map((cell) => paint('bold', cell))] : []),
  ];
  return `${fitted(columns, lines, paint, width)}\n\n${paint('dim', `${count(total.leases, 'lease')} ended from ${time}.`)}`;
};

/** A field as RFC 4180 wants it; what a spreadsheet would take for a formula is kept from it by an apostrophe. */
const field = (text: string): string => {
  const harmless = /^[=+@\t\r-]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
};

/** A header and a line for each row, times in seconds. */
export const usageCsv = ({ by, rows }: UsageView): string =>
  [
    [...by, 'leases', 'vm_seconds', 'processor_seconds', 'wait_seconds', 'longest_wait_seconds'].join(','),
    ...rows.map((row) =>
      [
        ...row.keys.map(field),
        String(row.leases),
        ...[row.vmSeconds, row.processorSeconds, row.waitSeconds, row.longestWaitSeconds].map((seconds) =>
          seconds.toFixed(1),
        ),
      ].join(','),
    ),
  ].join('\n');
