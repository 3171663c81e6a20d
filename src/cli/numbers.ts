import { InvalidArgumentError } from 'commander';
import { period } from '../config/quantities.js';

/** Argument of an option that counts things, 1 or more. */
export const wholeNumber = (text: string): number => {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('give a whole number, 1 or more');
  return Number(text);
};

/** The same from 0 on. */
export const wholeNumberOrNone = (text: string): number => {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('give a whole number, 0 or more');
  return Number(text);
};

/** Argument of an option for a time with its unit, `90m`; whole seconds of it. */
export const secondsOf = (text: string): number => {
  const parsed = period.safeParse(text);
  if (!parsed.success) throw new InvalidArgumentError('give a time with its unit: 90s, 10m, 2h or 7d');
  return Math.round(parsed.data / 1000);
};

/**
 * Argument of an option for a moment: a date, a date with a time and its zone, or how long ago (`30d`). As text of
 * ISO 8601; a date alone stays one.
 */
export const momentOf =
  (now: () => number) =>
  (text: string): string => {
    const ago = period.safeParse(text);
    if (ago.success) return new Date(now() - ago.data).toISOString();
    if (!/^\d{4}-\d\d-\d\d(T.+)?$/.test(text) || Number.isNaN(Date.parse(text)))
      throw new InvalidArgumentError('give a date (2026-11-01) or how long ago (30d)');
    return text.length === 10 ? text : new Date(text).toISOString();
  };
