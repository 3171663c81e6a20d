import type { QuotaView } from '../cloud/port.js';
import type { Shape } from '../pool/model.js';
import { needsOf, quotaWords, type QuotaSight } from '../pool/quota.js';

/**
 * What the project's quota lacks for `max` VMs, of which `ours` exist already, in words with what to do. With `ours` null
 * the limits alone are compared, since what is used may be the pool's own. Pure.
 */
export const quotaShortfalls = (of: {
  readonly max: number;
  readonly spec: Shape['spec'];
  readonly flavor: QuotaSight['flavor'];
  readonly quota: QuotaView;
  readonly ours: number | null;
}): string[] => {
  const { max, spec, flavor, quota, ours } = of;
  const more = Math.max(0, max - (ours ?? 0));
  const needs = needsOf(spec, flavor);
  return (Object.keys(quotaWords) as (keyof QuotaView)[]).flatMap((what) => {
    const use = quota[what];
    if (use === null || use.limit === null) return [];
    const needed = more * needs[what];
    const left = ours === null ? use.limit : Math.max(0, use.limit - use.used);
    return needed <= left
      ? []
      : [
          `the pool's max of ${String(max)} needs ${String(needed)}${ours === null ? '' : ' more'} ${quotaWords[what]}, the project has ${ours === null ? '' : `${String(left)} left of `}${String(use.limit)}: lower vmpool:max, or have the quota raised`,
        ];
  });
};

/** What follows from a max below the VMs that are Busy; null when it is not below. Pure. */
export const belowBusy = (max: number, busy: number): string | null =>
  max < busy
    ? `max ${String(max)} is below the ${busy === 1 ? 'VM that is' : `${String(busy)} VMs that are`} Busy: jobs keep theirs, the pool shrinks as they end`
    : null;
