import { z } from 'zod';

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const unitBytes = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const;

/** As an operator writes it: the largest unit that divides the number of milliseconds. */
export const formatDuration = (ms: number): string => {
  const units = (Object.keys(unitMs) as (keyof typeof unitMs)[]).reverse();
  const unit = units.find((candidate) => ms >= unitMs[candidate] && ms % unitMs[candidate] === 0) ?? 's';
  return `${String(ms / unitMs[unit])}${unit}`;
};

const longestMs = 10 * 365 * unitMs.d;

const parse = <U extends string>(text: string, units: Readonly<Record<U, number>>): number | null => {
  const match = /^(\d+(?:\.\d+)?)([A-Za-z]+)$/.exec(text);
  const factor = (units as Readonly<Record<string, number>>)[match?.[2] ?? ''];
  return match === null || factor === undefined ? null : Math.round(Number(match[1]) * factor);
};

/** `500ms`, `90s`, `10m`, `2h`, `7d` as milliseconds. */
export const duration = z
  .string({ error: 'a time with its unit: 500ms, 90s, 10m, 2h or 7d' })
  .transform((text, context) => {
    const ms = parse(text, unitMs);
    if (ms !== null && ms <= longestMs) return ms;
    context.addIssue({ code: 'custom', message: 'a time with its unit: 500ms, 90s, 10m, 2h or 7d' });
    return z.NEVER;
  })
  .meta({ format: 'time' });

/** A duration above zero: for periods and limits that would make no sense, or a busy loop, at zero. */
export const period = duration.refine((ms) => ms > 0, 'must be more than zero').meta({ format: 'time' });

/** A duration, or `never` as null. */
export const periodOrNever = z
  .union([z.literal('never').transform(() => null), period], { error: 'a time (90s, 10m, 2h) or never' })
  .meta({ format: 'time or never' });

/** `512B`, `256KiB`, `1MiB`, `2GiB` as bytes. */
export const size = z
  .string({ error: 'a size with its unit: 512B, 256KiB, 1MiB or 2GiB' })
  .transform((text, context) => {
    const bytes = parse(text, unitBytes);
    if (bytes !== null && bytes > 0 && Number.isSafeInteger(bytes)) return bytes;
    context.addIssue({ code: 'custom', message: 'a size with its unit: 512B, 256KiB, 1MiB or 2GiB' });
    return z.NEVER;
  })
  .meta({ format: 'size' });
