import type { UsageView } from '../../http/usage-api.js';
import { jobEnds } from '../../pool/measured.js';
import { fitted, type FittedColumn } from '../fitted.js';
import { count, cut, howLong } from '../table.js';
import type { Paint } from '../terminal.js';

type Row = UsageView['rows'][number];

/** Hours with one digit behind the point: what accounts are kept in. */
const hours = (seconds: number): string => (seconds / 3600).toFixed(1);

const meanWait = ({ waitSeconds, leases }: Row): string =>
  leases === 0 ? '' : howLong((waitSeconds / leases) * 1000);

const share = (part: number, whole: number): string =>
  whole === 0 ? '' : `${((100 * part) / whole).toFixed(1)} %`;

const sizeText = (bytes: number): string =>
  bytes < 2 ** 30 ? `${Math.ceil(bytes / 2 ** 20)} MiB` : `${(bytes / 2 ** 30).toFixed(1)} GiB`;

/** `12 finished, 1 over-memory`; empty where nothing is known. */
const endsText = ({ ends }: Row): string =>
  jobEnds
    .filter((end) => ends[end] > 0)
    .map((end) => `${ends[end]} ${end}`)
    .join(', ');

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
    { title: 'MEAN WAIT', align: 'right', drop: 3 },
    { title: 'LONGEST', align: 'right', drop: 6 },
    { title: 'CPU HOURS', align: 'right', drop: 1 },
    { title: 'USED', align: 'right', drop: 4 },
    { title: 'MOST MEMORY', align: 'right', drop: 5 },
  ];
  const cells = (row: Row, keys: readonly string[]): string[] => [
    ...keys,
    String(row.leases),
    hours(row.vmSeconds),
    hours(row.processorSeconds),
    share(row.vmSeconds, total.vmSeconds),
    meanWait(row),
    howLong(row.longestWaitSeconds * 1000),
    row.measured === 0 ? '' : hours(row.cpuSeconds),
    share(row.cpuSeconds, row.jobProcessorSeconds),
    row.measured === 0 ? '' : sizeText(row.mostMemoryBytes),
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
  const ends = endsText(total);
  const below = [
    `${count(total.leases, 'lease')} ended from ${time}.`,
    ...(ends === '' ? [] : [cut(`Jobs: ${ends}.`, Math.max(1, width))]),
  ];
  return `${fitted(columns, lines, paint, width)}\n\n${below.map((line) => paint('dim', line)).join('\n')}`;
};

/** A field as RFC 4180 wants it; what a spreadsheet would take for a formula is kept from it by an apostrophe. */
const field = (text: string): string => {
  const harmless = /^[=+@\t\r-]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
};

/** A header and a line for each row, times in seconds. */
export const usageCsv = ({ by, rows }: UsageView): string =>
  [
    [
      ...[...by, 'leases', 'vm_seconds', 'processor_seconds', 'wait_seconds', 'longest_wait_seconds'],
      ...['measured', 'cpu_seconds', 'job_processor_seconds', 'most_memory_bytes'],
      ...jobEnds.map((end) => end.replaceAll('-', '_')),
    ].join(','),
    ...rows.map((row) =>
      [
        ...row.keys.map(field),
        String(row.leases),
        ...[row.vmSeconds, row.processorSeconds, row.waitSeconds, row.longestWaitSeconds].map((seconds) =>
          seconds.toFixed(1),
        ),
        String(row.measured),
        ...[row.cpuSeconds, row.jobProcessorSeconds].map((seconds) => seconds.toFixed(1)),
        ...[row.mostMemoryBytes, ...jobEnds.map((end) => row.ends[end])].map(String),
      ].join(','),
    ),
  ].join('\n');
