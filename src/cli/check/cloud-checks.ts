import type { QuotaView } from '../../cloud/port.js';
import { needsOf, quotaWords } from '../../pool/quota.js';
import { count } from '../table.js';
import { unless, type Verdict } from './finding.js';
import type { Subject } from './subject.js';

const limitMs = 30_000;
const limit = (): AbortSignal => AbortSignal.timeout(limitMs);

export const checkCredentials = async (subject: Subject): Promise<Verdict> => {
  const cloud = await subject.cloud();
  const { user, project, authUrl, region } = await cloud.identity(limit());
  const warnings = cloud.warnings.map((warning) => `\nNote: ${warning}`).join('');
  return {
    ok: `signed in to ${authUrl} as ${user ?? 'an application credential'}, project ${project?.name ?? project?.id ?? 'none'}${region === '' ? '' : `, region ${region}`}${warnings}`,
  };
};

export const checkFlavor = async (subject: Subject): Promise<Verdict> => {
  const { spec } = await subject.shape();
  const found = await (await subject.cloud()).flavor(spec.flavor, limit());
  if (!found.found) return { faults: [`${found.why} (set vmpool:flavor of the pool stack and bring it up)`] };
  const { name, vcpus, ramMiB } = found.value;
  return { ok: `${name}: ${count(vcpus, 'processor')}, ${String(ramMiB)} MiB` };
};

export const checkImage = async (subject: Subject): Promise<Verdict> => {
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

export const checkNetworks = async (subject: Subject): Promise<Verdict> => {
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
export const checkQuota = async (subject: Subject): Promise<Verdict> => {
  const { max, spec } = await subject.shape();
  const cloud = await subject.cloud();
  const [quota, flavor, ours] = [
    await cloud.quota(limit()),
    await cloud.flavor(spec.flavor, limit()),
    await cloud.listOurs(limit()),
  ];
  if (!flavor.found) return { faults: [flavor.why] };
  const more = Math.max(0, max - ours.servers.length);
  const needs = needsOf(spec, flavor.value);
  const faults = (Object.keys(quotaWords) as (keyof QuotaView)[]).flatMap((what) => {
    const use = quota[what];
    const needed = more * needs[what];
    return use === null || use.limit === null || use.used + needed <= use.limit
      ? []
      : [
          `the pool's max of ${String(max)} needs ${String(needed)} more ${quotaWords[what]}, the project has ${String(Math.max(0, use.limit - use.used))} left of ${String(use.limit)}: lower vmpool:max, or have the quota raised`,
        ];
  });
  const { used, limit: most } = quota.instances;
  return unless(
    faults,
    `enough for max ${String(max)}: ${String(used)} of ${most === null ? 'unlimited' : String(most)} instances used`,
  );
};
