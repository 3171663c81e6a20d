import type { EventView, StatusView } from '../../http/api.js';
import { count, cut, howLong } from '../table.js';
import { harmlessLine, type Paint } from '../terminal.js';
import { clockTime, eventLine } from './events.js';
import { requestsText } from './leases.js';
import { vmsHead, vmsText } from './vms.js';

export interface Frame {
  readonly status: StatusView;
  /** The last ones, the newest last. */
  readonly events: readonly EventView[];
  /** What is wrong with the connection; the status is the last one that came. */
  readonly trouble: string | null;
}

/** At most so many lines of problems, and of who waits; the VMs get what is left. */
const problemLines = 3;
const waitingLines = 4;
const eventLines = 6;
/** Below so many rows the VMs have the screen to themselves. */
const roomyRows = 20;

const longestWait = ({ requests, now }: StatusView): string =>
  requests.length === 0
    ? 'no request waits'
    : `${count(requests.length, 'request waits', 'requests wait')}, the longest for ${howLong(
        Date.parse(now) - Math.min(...requests.map(({ askedAt }) => Date.parse(askedAt))),
      )}`;

const running = ({ cells, services }: StatusView): string => {
  const busy = [...cells, ...services].filter((each) => each.running).length;
  return busy === 0 ? '' : `; ${count(busy, 'update')} under way`;
};

/** A list's first lines, and how many were left out. */
const first = (lines: readonly string[], most: number, paint: Paint): string[] =>
  lines.length <= most
    ? [...lines]
    : [
        ...lines.slice(0, Math.max(0, most - 1)),
        paint('dim', `... ${String(lines.length - Math.max(0, most - 1))} more`),
      ];

/** The whole screen: no line wider than `columns`, no more lines than `rows`. Pure. */
export const topLines = (
  { status, events, trouble }: Frame,
  paint: Paint,
  columns: number,
  rows: number,
): string[] => {
  const now = Date.parse(status.now);
  const clock = clockTime(status.now, false);
  const head = vmsHead(status, paint);
  const problems = [...(trouble === null ? [] : [trouble]), ...status.problems].map((text) =>
    paint('red', cut(harmlessLine(text), columns)),
  );
  const above = [
    `${head}  ${paint('dim', clock)}`,
    `${longestWait(status)}${running(status)}`,
    ...first(problems, problemLines, paint),
    '',
  ];
  const roomy = rows >= roomyRows;
  const waiting =
    !roomy || status.requests.length === 0
      ? []
      : ['', ...first(requestsText(status.requests, now, paint, columns).split('\n'), waitingLines, paint)];
  const told =
    !roomy || events.length === 0
      ? []
      : ['', ...events.slice(-eventLines).map((event) => eventLine(event, paint, columns))];
  const foot = ['', paint('dim', 'q ends')];
  const room = Math.max(2, rows - above.length - waiting.length - told.length - foot.length);
  const vms =
    status.members.length === 0
      ? ['There are no VMs.']
      : vmsText(status.members, now, paint, columns).split('\n');
  return [...above, ...first(vms, room, paint), ...waiting, ...told, ...foot]
    .slice(0, Math.max(1, rows))
    .map((line) => cut(line, columns));
};

/** One line for a file or another program: `2026-11-23 10:04:05 2 Free 3 Busy 1 Unusable 0 waiting`. */
export const topLine = ({ status: { now, counts, problems }, trouble }: Frame): string =>
  [
    clockTime(now, true),
    ...[`${String(counts.free)} Free`, `${String(counts.busy)} Busy`, `${String(counts.unusable)} Unusable`],
    `${String(counts.waiting)} waiting`,
    count(problems.length, 'problem'),
    ...(trouble === null ? [] : [harmlessLine(trouble)]),
  ].join('  ');
