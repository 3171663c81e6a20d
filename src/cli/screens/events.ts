import { cut } from '../table.js';
import { harmlessLine, type Colour, type Paint } from '../terminal.js';

/** What a line of events is made of: of the last events, or of the history. */
export interface Told {
  readonly at: string;
  readonly kind: string;
  readonly detail: string;
  readonly vm: string | null;
  readonly job: string | null;
  readonly user: string | null;
  readonly decision?: string | undefined;
}

const two = (n: number): string => String(n).padStart(2, '0');

/** `2026-11-23 10:04:05`, in the time zone of who reads it. */
export const clockTime = (iso: string, withDay: boolean): string => {
  const at = new Date(iso);
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return withDay
    ? `${String(at.getFullYear())}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`
    : time;
};

const colourOf = ({ kind, detail }: Told): Colour => {
  if (/fail|error|console|unreachable|lost|-> held/.test(`${kind} ${detail}`)) return 'red';
  if (kind === 'lease' || kind === 'staged') return 'green';
  if (kind.startsWith('lease') || kind.startsWith('request')) return 'blue';
  return 'yellow';
};

/** One event in one line, cut at `width`. */
export const eventLine = (event: Told, paint: Paint, width: number, withDay = false): string => {
  const about = [
    ...(event.vm === null ? [] : [event.vm]),
    ...(event.job === null ? [] : [`job ${event.job}`]),
    ...(event.user === null ? [] : [`of ${event.user}`]),
  ].join(' ');
  const time = clockTime(event.at, withDay);
  const kind = event.kind.padEnd(13);
  const rest = [about, harmlessLine(event.detail)].filter((text) => text !== '').join(': ');
  const room = Math.max(1, width - time.length - kind.length - 2);
  return `${paint('dim', time)} ${paint(colourOf(event), kind)} ${cut(rest, room)}`.trimEnd();
};
