import { z } from 'zod';
import { CloudError } from './port.js';
import type { QuotaUse, QuotaView } from './port.js';
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

const neutronUse = z.object({ used: z.number(), limit: z.number() });
const neutronShape = z.object({ quota: z.object({ port: neutronUse, floatingip: neutronUse.optional() }) });

const cinderShape = z.object({
  limits: z.object({
    absolute: z.object({
      maxTotalVolumes: z.number(),
      totalVolumesUsed: z.number(),
      maxTotalVolumeGigabytes: z.number(),
      totalGigabytesUsed: z.number(),
    }),
  }),
});

/** OpenStack says -1 for no limit. */
const use = (used: number, limit: number): QuotaUse => ({ used, limit: limit < 0 ? null : limit });

/** The project's use and limits of Nova, and of Neutron and Cinder where they tell. Throws `CloudError`. */
export async function readQuota(session: Session, signal: AbortSignal): Promise<QuotaView> {
  const compute = await readCompute(session, signal);
  const { projectId } = await session.token(signal);
  const [network, volume] = await Promise.all([
    projectId === null ? noPorts : orUntold(readNetwork(session, projectId, signal), noPorts),
    orUntold(readVolume(session, signal), noVolumes),
  ]);
  return { ...compute, ...network, ...volume };
}

const noPorts = { ports: null, floatingIps: null };
const noVolumes = { volumes: null, volumeGiB: null };

/** A service that is not there, is not well or does not tell its quota must not hide Nova's. */
async function orUntold<T>(read: Promise<T>, untold: T): Promise<T> {
  try {
    return await read;
  } catch (error) {
    if (error instanceof CloudError) return untold;
    throw error;
  }
}

/** Neutron tells an ordinary member of the project its own quota, with what is used, since its extension `quota_details`. */
async function readNetwork(
  session: Session,
  projectId: string,
  signal: AbortSignal,
): Promise<Pick<QuotaView, 'ports' | 'floatingIps'>> {
  const path = `/quotas/${encodeURIComponent(projectId)}/details.json`;
  const what = "read the project's quota of ports";
  const body = await session.read({ what, service: 'network', method: 'GET', path }, neutronShape, signal);
  const { port, floatingip } = body.quota;
  return {
    ports: use(port.used, port.limit),
    floatingIps: floatingip === undefined ? null : use(floatingip.used, floatingip.limit),
  };
}

/** `/limits` of Cinder, which every member may read. */
async function readVolume(
  session: Session,
  signal: AbortSignal,
): Promise<Pick<QuotaView, 'volumes' | 'volumeGiB'>> {
  const what = "read the project's quota of volumes";
  const body = await session.read(
    { what, service: 'volume', method: 'GET', path: '/limits' },
    cinderShape,
    signal,
  );
  const { absolute } = body.limits;
  return {
    volumes: use(absolute.totalVolumesUsed, absolute.maxTotalVolumes),
    volumeGiB: use(absolute.totalGigabytesUsed, absolute.maxTotalVolumeGigabytes),
  };
}

/** `/limits`, which every member may read, else the quota set. */
async function readCompute(
  session: Session,
  signal: AbortSignal,
): Promise<Pick<QuotaView, 'instances' | 'cores' | 'ramMiB'>> {
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
