import { quotaShortfalls, sharedShortfalls, type QuotaWish } from '../../service/shape-advice.js';
import { count } from '../table.js';
import { unless, type Verdict } from './finding.js';
import type { Subject } from './subject.js';

/** What these checks need of their subject: a cloud, and the shape that shall run in it. */
export type CloudSubject = Pick<Subject, 'cloud' | 'shape'>;

const limitMs = 30_000;
const limit = (): AbortSignal => AbortSignal.timeout(limitMs);

export const checkCredentials = async (subject: CloudSubject): Promise<Verdict> => {
  const cloud = await subject.cloud();
  const { user, project, authUrl, region } = await cloud.identity(limit());
  const warnings = cloud.warnings.map((warning) => `\nNote: ${warning}`).join('');
  return {
    ok: `signed in to ${authUrl} as ${user ?? 'an application credential'}, project ${project?.name ?? project?.id ?? 'none'}${region === '' ? '' : `, region ${region}`}${warnings}`,
  };
};

export const checkFlavor = async (subject: CloudSubject): Promise<Verdict> => {
  const { spec } = await subject.shape();
  const found = await (await subject.cloud()).flavor(spec.flavor, limit());
  if (!found.found) return { faults: [`${found.why} (set vmpool:flavor of the pool stack and bring it up)`] };
  const { name, vcpus, ramMiB } = found.value;
  return { ok: `${name}: ${count(vcpus, 'processor')}, ${String(ramMiB)} MiB` };
};

export const checkImage = async (subject: CloudSubject): Promise<Verdict> => {
  const { spec } = await subject.shape();
  const found = await (await subject.cloud()).image(spec.image, limit());
  if (!found.found) return { faults: [`${found.why} (set vmpool:image of the pool stack and bring it up)`] };
  const { name, status } = found.value;
  return status === 'active'
    ? { ok: `${name} is active` }
    : {
        faults: [
          `${name} is ${status}, so no VM can boot from it: activate it, or name another in vmpool:image`,
        ],
      };
};

export const checkNetworks = async (subject: CloudSubject): Promise<Verdict> => {
  const { spec } = await subject.shape();
  const cloud = await subject.cloud();
  const faults: string[] = [];
  for (const name of spec.networks) {
    const found = await cloud.network(name, limit());
    if (!found.found) faults.push(`${found.why} (set vmpool:networks of the pool stack and bring it up)`);
  }
  return unless(faults, `${spec.networks.join(', ')}; SSH by ${spec.sshNetwork}`);
};

/** Is there room for the whole pool, beside what else uses the project? */
export const checkQuota = async (subject: CloudSubject): Promise<Verdict> =>
  quotaVerdict(subject, await oursOf(subject));

const oursOf = async (subject: CloudSubject): Promise<number> =>
  (await (await subject.cloud()).listOurs(limit())).servers.length;

/** What the pool wants of the project's quota, or why that cannot be told. */
const wishOf = async (
  subject: CloudSubject,
  ours: number | null,
): Promise<{ readonly wish: QuotaWish } | { readonly faults: readonly string[] }> => {
  const { max, spec } = await subject.shape();
  const flavor = await (await subject.cloud()).flavor(spec.flavor, limit());
  return flavor.found ? { wish: { max, spec, flavor: flavor.value, ours } } : { faults: [flavor.why] };
};

/**
 * Room for `max` VMs of which `ours` exist already. Null where that is not known: then the limits alone are compared,
 * since what is used may be the pool's own.
 */
export const quotaVerdict = async (subject: CloudSubject, ours: number | null): Promise<Verdict> => {
  const quota = await (await subject.cloud()).quota(limit());
  const asked = await wishOf(subject, ours);
  if ('faults' in asked) return asked;
  const { used, limit: most } = quota.instances;
  return unless(
    quotaShortfalls({ ...asked.wish, quota }),
    `enough for max ${String(asked.wish.max)}: ${String(used)} of ${most === null ? 'unlimited' : String(most)} instances used`,
  );
};

/** Is there room for all of several pools at once? Each may have it alone. */
export const checkSharedQuota = async (subjects: readonly CloudSubject[]): Promise<Verdict> => {
  const [first] = subjects;
  if (first === undefined) return { note: 'there is no pool' };
  const wishes: QuotaWish[] = [];
  for (const subject of subjects) {
    const asked = await wishOf(subject, await oursOf(subject));
    if ('faults' in asked) return asked;
    wishes.push(asked.wish);
  }
  // One project's, which all of them share.
  const quota = await (await first.cloud()).quota(limit());
  const sum = wishes.reduce((all, { max }) => all + max, 0);
  return unless(sharedShortfalls(wishes, quota), `enough for all pools at once: ${String(sum)} VMs`);
};
