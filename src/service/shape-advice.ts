import type { QuotaView } from '../cloud/port.js';
import type { Shape } from '../pool/model.js';
import { needsOf, quotaWords, type QuotaSight } from '../pool/quota.js';

/** What a pool of `max` VMs wants of the project, of which `ours` exist already. */
export interface QuotaWish {
  readonly max: number;
  readonly spec: Shape['spec'];
  readonly flavor: QuotaSight['flavor'];
  /** Null where that is not known: then the limits alone are compared, since what is used may be the pool's own. */
  readonly ours: number | null;
}

/** What the project's quota lacks for one pool, in words with what to do. Pure. */
export const quotaShortfalls = (of: QuotaWish & { readonly quota: QuotaView }): string[] =>
  lacking([of], of.quota).map(
    (words) =>
      `the pool's max of ${String(of.max)} needs ${words}: lower vmpool:max, or have the quota raised`,
  );

/** The same for several pools that share the project, each of which may have room alone. Pure. */
export const sharedShortfalls = (wishes: readonly QuotaWish[], quota: QuotaView): string[] =>
  lacking(wishes, quota).map(
    (words) =>
      `the pools' max of ${wishes.map(({ max }) => String(max)).join(' + ')} needs ${words}: where one has grown, another may find no room. Lower vmpool:max of one, or have the quota raised`,
  );

const lacking = (wishes: readonly QuotaWish[], quota: QuotaView): string[] => {
  const limitsAlone = wishes.some(({ ours }) => ours === null);
  return (Object.keys(quotaWords) as (keyof QuotaView)[]).flatMap((what) => {
    const use = quota[what];
    if (use === null || use.limit === null) return [];
    const needed = wishes.reduce(
      (sum, { max, ours, spec, flavor }) =>
        sum + Math.max(0, max - (limitsAlone ? 0 : (ours ?? 0))) * needsOf(spec, flavor)[what],
      0,
    );
    const left = limitsAlone ? use.limit : Math.max(0, use.limit - use.used);
    if (needed <= left) return [];
    const [more, has] = limitsAlone ? ['', ''] : [' more', `${String(left)} left of `];
    return [`${String(needed)}${more} ${quotaWords[what]}, the project has ${has}${String(use.limit)}`];
  });
};

/** What follows from a max below the VMs that are Busy; null when it is not below. Pure. */
export const belowBusy = (max: number, busy: number): string | null =>
  max < busy
    ? `max ${String(max)} is below the ${busy === 1 ? 'VM that is' : `${String(busy)} VMs that are`} Busy: jobs keep theirs, the pool shrinks as they end`
    : null;
