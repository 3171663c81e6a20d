import { z } from 'zod';
import { CloudError } from './port.js';
import type { QuotaView } from './port.js';
import type { Session } from './session.js';

const limitsShape = z.object({
  limits: z.object({
    absolute: z.object({
      maxTotalInstances: z.number(),
      totalInstancesUsed: z.number(),
      maxTotalCores: z.number(),
      totalCoresUsed: z.number(),
      maxTotalRAMSize: z.number(),
      totalRAMUsed: z.number(),
    }),
  }),
});

const detail = z.object({ in_use: z.number(), limit: z.number() });
const quotaSetShape = z.object({
  quota_set: z.object({ instances: detail, cores: detail, ram: detail }),
});

/** OpenStack says -1 for no limit. */
const use = (used: number, limit: number) => ({ used, limit: limit < 0 ? null : limit });

/** The project's use and limits: `/limits`, which every member may read, else the quota set. */
export async function readQuota(session: Session, signal: AbortSignal): Promise<QuotaView> {
  const what = "read the project's quota";
  try {
    const body = await session.read(
      { what, service: 'compute', method: 'GET', path: '/limits' },
      limitsShape,
      signal,
    );
    const { absolute } = body.limits;
    return {
      instances: use(absolute.totalInstancesUsed, absolute.maxTotalInstances),
      cores: use(absolute.totalCoresUsed, absolute.maxTotalCores),
      ramMiB: use(absolute.totalRAMUsed, absolute.maxTotalRAMSize),
    };
  } catch (error) {
    const { projectId } = await session.token(signal);
    const hasOther =
      error instanceof CloudError && ['forbidden', 'not-found', 'bad-answer'].includes(error.kind);
    if (!hasOther || projectId === null) throw error;
    const path = `/os-quota-sets/${encodeURIComponent(projectId)}/detail`;
    const body = await session.read({ what, service: 'compute', method: 'GET', path }, quotaSetShape, signal);
    const { instances, cores, ram } = body.quota_set;
    return {
      instances: use(instances.in_use, instances.limit),
      cores: use(cores.in_use, cores.limit),
      ramMiB: use(ram.in_use, ram.limit),
    };
  }
}
