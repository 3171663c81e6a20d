import { badRequest } from './errors.js';

export interface Page<Item> {
  readonly items: readonly Item[];
  /** The marker of the next page, if there is one. */
  readonly next: string | undefined;
}

/** Cuts one page out of an ordered list, as all OpenStack services do: `limit` items after the one with id `marker`. */
export function pageOf<Item extends { readonly id: string }>(
  items: readonly Item[],
  limit: string | undefined,
  marker: string | undefined,
  maximum = 1000,
): Page<Item> {
  let wanted = maximum;
  if (limit !== undefined) {
    if (!/^\d+$/.test(limit)) throw badRequest(`Invalid input for query parameters limit. Value: ${limit}.`);
    if (Number(limit) > 0) wanted = Math.min(Number(limit), maximum);
  }
  let start = 0;
  if (marker !== undefined) {
    start = items.findIndex((item) => item.id === marker) + 1;
    if (start === 0) throw badRequest(`marker [${marker}] not found`);
  }
  const page = items.slice(start, start + wanted);
  const last = page.at(-1);
  return { items: page, next: last && start + wanted < items.length ? last.id : undefined };
}

/** The address of the next page: the same query with another marker. */
export function nextLink(base: string, originalUrl: string, marker: string): string {
  const url = new URL(originalUrl, base);
  url.searchParams.set('marker', marker);
  return url.toString();
}
