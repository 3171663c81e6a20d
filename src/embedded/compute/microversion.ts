import { ApiError } from '../http/errors.js';

/** Microversions as numbers: 2.1 is 201, 2.90 is 290. */
export const MIN_MICROVERSION = 201;

export interface MicroversionRange {
  readonly min: number;
  readonly max: number;
}

export function microversionText(version: number): string {
  return `${Math.floor(version / 100)}.${version % 100}`;
}

/** The version asked for by the general header, else by Nova's older one; the lowest if none is. */
export function parseMicroversion(
  general: string | undefined,
  old: string | undefined,
  { min, max }: MicroversionRange,
): number {
  const fromGeneral = general
    ?.split(',')
    .map((part) => /^\s*compute\s+(\S+)\s*$/i.exec(part)?.[1])
    .find((value) => value !== undefined);
  const text = fromGeneral ?? old?.trim();
  if (text === undefined) return min;
  if (text === 'latest') return max;
  const match = /^(\d+)\.(\d+)$/.exec(text);
  if (!match)
    throw new ApiError(
      400,
      `API Version String ${text} is of invalid format. Must be of format MajorNum.MinorNum.`,
    );
  const version = Number(match[1]) * 100 + Number(match[2]);
  if (Number(match[2]) > 99 || version < min || version > max)
    throw new ApiError(
      406,
      `Version ${text} is not supported by the API. Minimum is ${microversionText(min)} and maximum is ${microversionText(max)}.`,
    );
  return version;
}
