export interface Measured {
  readonly name: string;
  readonly unit: string;
  readonly p50: number;
  readonly p99: number | null;
  readonly floor: number | null;
  readonly wanted: readonly Limit[];
}
export interface Limit {
  readonly text: string;
  readonly holds: (row: Measured, slack: number) => boolean;
}
/** One of `bench/results.json`. */
export interface Result {
  readonly name: string;
  readonly unit: string;
  readonly p50: number;
  readonly p99: number | null;
  readonly floor: number | null;
  readonly ratio: number | null;
  readonly wanted: string;
  readonly met: boolean | null;
}
export function quantile(values: readonly number[], q: number): number;
export function median(values: readonly number[]): number;
export function slope(points: readonly (readonly [number, number])[]): number;
export function atMost(
  limit: number,
  options?: { readonly of?: 'p50' | 'p99'; readonly unit?: string; readonly busy?: number | null },
): Limit;
export function timesFloor(factor: number, options?: { readonly of?: 'p50' | 'p99' }): Limit;
export function timesFloorPlus(factor: number, more: number, unit: string): Limit;
export function atLeastOfFloor(share: number, text: string): Limit;
export function also(text: string, is: boolean): Limit;
export function row(
  name: string,
  unit: string,
  figures: {
    readonly p50: number;
    readonly p99?: number | null;
    readonly floor?: number | null;
    readonly wanted?: readonly Limit[];
  },
): Measured;
export function slopeRows<K extends string>(
  what: string,
  seen: readonly Readonly<Record<K, number>>[],
  figures: readonly (readonly [K, string, string])[],
): Measured[];
export function isMet(measured: Measured, slack?: number): boolean;
export function resultOf(measured: Measured, slack?: number): Result;
export function tableOf(results: readonly Result[]): string[];
export function keepResults(path: string, results: readonly Result[]): void;
export function verdictOf(results: readonly Result[]): {
  readonly text: string;
  readonly missed: readonly string[];
};
