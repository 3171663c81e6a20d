import type { QuotaUse, QuotaView } from '../cloud/port.js';
import type { Context, State } from './book.js';
import { isUnusable, membersOf } from './book.js';
import type { MemberName, MemberSpec, Millis } from './model.js';

/** What was last read of the project's quota, with what one VM of the pool takes of a flavor. */
export interface QuotaSight {
  readonly at: Millis;
  readonly quota: QuotaView;
  readonly flavor: { readonly vcpus: number; readonly ramMiB: number };
  /** Members that were being built then: their ports and volumes come late in a build, and may not be in the figures. */
  readonly unsure: readonly MemberName[];
}

/** A reading older than this decides nothing: what the cloud itself says to a create counts then. */
export const quotaHoldsMs = 5 * 60_000;

/** What was read now. */
export function quotaRead(s: State, quota: QuotaView, flavor: QuotaSight['flavor'], c: Context): State {
  const unsure = membersOf(s.book).flatMap((m) => (isUnusable(m, 'building') ? [m.name] : []));
  return { ...s, sight: { ...s.sight, quota: { at: c.now, quota, flavor, unsure } } };
}

/** One thing that the project has a quota of, and how much of it one VM takes. */
export interface QuotaLine {
  readonly what: keyof QuotaView;
  readonly used: number;
  readonly limit: number | null;
  readonly perVm: number;
}

/** In words for people, in the order in which they are shown. */
export const quotaWords: Readonly<Record<keyof QuotaView, string>> = {
  instances: 'instances',
  cores: 'cores',
  ramMiB: 'MiB of memory',
  ports: 'ports',
  floatingIps: 'floating IPs',
  volumes: 'volumes',
  volumeGiB: 'GiB of volumes',
};

/** What a VM of this spec takes of each thing. */
export function needsOf(spec: MemberSpec, flavor: QuotaSight['flavor']): Record<keyof QuotaView, number> {
  return {
    instances: 1,
    cores: flavor.vcpus,
    ramMiB: flavor.ramMiB,
    ports: spec.networks.length,
    floatingIps: spec.floatingIpPool === null ? 0 : 1,
    volumes: spec.bootVolumeGiB === null ? 0 : 1,
    volumeGiB: spec.bootVolumeGiB ?? 0,
  };
}

/** Every quota that the cloud tells and a VM takes something of. */
export function quotaLines(s: State): QuotaLine[] {
  const { shape } = s.book;
  const { quota } = s.sight;
  if (shape === null || quota === null) return [];
  const needs = needsOf(shape.spec, quota.flavor);
  return (Object.keys(quotaWords) as (keyof QuotaView)[]).flatMap((what) => {
    const use: QuotaUse | null = quota.quota[what];
    return use === null || needs[what] === 0 ? [] : [{ what, ...use, perVm: needs[what] }];
  });
}

export interface QuotaRoom {
  readonly room: number;
  readonly tight: TightQuota | null;
}

/** The quota that leaves the least room, with the VMs being made that it may not show yet. */
export interface TightQuota extends QuotaLine {
  readonly uncounted: number;
}

/**
 * How many members may be decided now, as far as the project's quota is known, and what holds them back. Members that
 * the cloud may not have counted yet when it was read take their room: too few for one period rather than creates
 * that are refused. Without a fresh reading there is no limit here.
 */
export function quotaRoom(s: State, c: Context): QuotaRoom {
  const { quota } = s.sight;
  if (quota === null || c.now - quota.at > quotaHoldsMs) return { room: Infinity, tight: null };
  const unsure = new Set(quota.unsure);
  const uncounted = membersOf(s.book).filter((m) => m.bornAt >= quota.at || unsure.has(m.name)).length;
  let room = Infinity;
  let tight: TightQuota | null = null;
  for (const line of quotaLines(s)) {
    if (line.limit === null) continue;
    const fits = Math.max(0, Math.floor((line.limit - line.used) / line.perVm) - uncounted);
    if (fits < room) [room, tight] = [fits, { ...line, uncounted }];
  }
  return { room, tight };
}

/** Why fewer members are made than are wanted: in words, with what to do. */
export function quotaObjection({ what, used, limit, perVm, uncounted }: TightQuota): string {
  const words = quotaWords[what];
  const making = uncounted === 0 ? '' : `, ${String(uncounted)} VMs are being made`;
  return `the project's quota has no room for another VM: ${String(used)} of ${String(limit)} ${words} used${making}, a VM takes ${String(perVm)}; have it raised, free some, or lower vmpool:max`;
}
