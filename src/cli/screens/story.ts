import type { LeaseView } from '../../http/api.js';
import type { HistoryEntry } from '../../http/detail-api.js';
import { cut, howLong } from '../table.js';
import { harmlessLine, type Paint } from '../terminal.js';
import { clockTime } from './events.js';
import { usedSoFar, waitWords } from './leases.js';

/** One start of a job, from its request on. */
interface Start {
  readonly lease: string;
  readonly entries: readonly HistoryEntry[];
}

const startsOf = (history: readonly HistoryEntry[]): Start[] => {
  const starts = new Map<string, HistoryEntry[]>();
  for (const entry of history) {
    if (entry.lease === null || entry.kind === 'console') continue;
    starts.set(entry.lease, [...(starts.get(entry.lease) ?? []), entry]);
  }
  return [...starts].map(([lease, entries]) => ({ lease, entries }));
};

const last = (entries: readonly HistoryEntry[], kind: string): HistoryEntry | undefined =>
  entries.findLast((entry) => entry.kind === kind);

/** `waited 3.2 s, VM ready 0.8 s later, ran 12 min, ended: job ended`. */
const summaryOf = ({ entries }: Start, live: LeaseView | undefined, nowMs: number): string => {
  const granted = last(entries, 'lease');
  const staged = last(entries, 'staged');
  const ended = last(entries, 'lease-ended') ?? last(entries, 'request-ended');
  const asked = entries[0];
  const ran = (until: number): string[] =>
    granted === undefined
      ? []
      : [`had ${granted.vm ?? 'a VM'} for ${howLong(until - Date.parse(granted.at))}`];
  const parts = [
    ...(granted?.ms == null ? [] : [`waited ${howLong(granted.ms)}`]),
    ...(staged?.ms == null ? [] : [`VM ready ${howLong(staged.ms)} later`]),
  ];
  if (live?.state === 'waiting')
    return [
      ...parts,
      `waits for ${waitWords(live, nowMs)}${live.maxWaitSeconds === undefined ? '' : ' at most'}, place ${String(live.position ?? '?')}: ${live.detail}`,
    ].join(', ');
  if (live?.state === 'granted')
    return [...parts, ...ran(nowMs), live.ready ? 'runs' : live.detail].join(', ');
  if (ended === undefined)
    return [...parts, ...(asked === undefined ? [] : ['its end is not in the history'])].join(', ');
  if (granted === undefined)
    return [`waited ${howLong(ended.ms ?? 0)} in vain`, `ended: ${ended.detail}`].join(', ');
  return [...parts, ...ran(Date.parse(ended.at)), `ended: ${ended.detail}`].join(', ');
};

/** What became of a job, start by start, each line with the time since the request. */
export const storyText = (
  job: string,
  history: readonly HistoryEntry[],
  live: readonly LeaseView[],
  nowMs: number,
  paint: Paint,
  width: number,
): string =>
  startsOf(history)
    .map((start) => {
      const [first] = start.entries;
      const began = Date.parse(first?.at ?? '');
      const user = start.entries.find((entry) => entry.user !== null)?.user;
      const name = start.entries.find((entry) => entry.job !== null)?.job ?? job;
      const view = live.find(({ id }) => id === start.lease);
      const head = `${paint('bold', `Job ${name}`)}${user == null ? '' : ` of ${user}`}, asked ${clockTime(first?.at ?? '', true)}`;
      const lines = start.entries.map((entry) => {
        const offset = `+${howLong(Date.parse(entry.at) - began)}`.padStart(9);
        const vm = entry.vm === null ? '' : `${entry.vm}: `;
        const room = Math.max(1, width - 9 - 2 - 14 - 1);
        return `${paint('dim', offset)}  ${entry.kind.padEnd(14)} ${cut(vm + harmlessLine(entry.detail), room)}`;
      });
      const below = (text: string): string => `  ${cut(harmlessLine(text), Math.max(1, width - 2))}`;
      return [
        head,
        below(summaryOf(start, view, nowMs)),
        ...(view?.usage === undefined ? [] : [below(`has used ${usedSoFar(view.usage, nowMs)}`)]),
        ...lines,
      ].join('\n');
    })
    .join('\n\n');
