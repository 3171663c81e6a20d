import { createCloud, type OpenStackCloud } from '../../cloud/openstack.js';
import type { StatusView } from '../../http/api.js';
import type { InstallationId, Shape } from '../../pool/model.js';
import { cloudEnvironment } from '../../service/environment.js';
import { errorText } from '../../store/files.js';
import { accessOf, asking, type AccessOptions } from '../access.js';
import { checkFlavor, checkImage, checkNetworks, quotaVerdict } from '../check/cloud-checks.js';
import { findingsOf, type Finding, type Verdict } from '../check/finding.js';
import { configOf, type ConfigOptions } from '../configured.js';
import { previewAll } from '../preview.js';
import { CliError, exitCodes } from '../exit.js';
import { count } from '../table.js';
import type { World } from '../world.js';
import { busyInPreviews, comparedWithRunning } from './busy.js';
import { readStackFile } from './stack-file.js';

export interface PolicyOptions extends ConfigOptions, AccessOptions {
  /** Name in clouds.yaml. */
  readonly cloud?: string;
}

const previewsAtOnce = 2;
const previewLimitMs = 10 * 60_000;
/**
 * The rules that a pool's shape has to keep before it is brought up, for a pipeline. What this machine cannot look at
 * (no credentials of the cloud, no token of the service, no backend) is a note and not a fault. Rejects only for wrong arguments.
 */
export const runPolicy = async (
  file: string,
  options: PolicyOptions,
  world: World,
): Promise<readonly Finding[]> => {
  const findings: Finding[] = [];
  const add = async (what: string, check: () => Promise<Verdict> | Verdict): Promise<void> => {
    try {
      findings.push(...findingsOf(what, await check()));
    } catch (error) {
      findings.push({ what, result: 'fail', text: errorText(error) });
    }
  };

  const read = readStackFile(file);
  if (!read.ok) {
    await add('shape', () => ({ faults: read.errors }));
    return findings;
  }
  const { shape, services } = read.value;
  const following = Object.keys(services).length;
  await add('shape', () => ({
    ok: `${file}: ${String(shape.min)} to ${String(shape.max)} VMs of ${shape.spec.flavor} from ${shape.spec.image}${following === 0 ? '' : `, followed by ${count(following, 'service')}`}`,
  }));

  const status = await statusIfAsked(options, world, add);
  await cloudRules(shape, status, options, world, add);
  if (status !== null) {
    await add('running pool', () => comparedWithRunning(shape, status));
    await add('busy VMs', () => busyRule(status, options, world));
  }
  return findings;
};

type Add = (what: string, check: () => Promise<Verdict> | Verdict) => Promise<void>;

const statusIfAsked = async (options: AccessOptions, world: World, add: Add): Promise<StatusView | null> => {
  if ((options.tokenFile ?? world.env['VMPOOL_TOKEN_FILE'] ?? '') === '') {
    await add('running pool', () => ({
      note: 'not looked at: no token of the service (--token-file or VMPOOL_TOKEN_FILE)',
    }));
    return null;
  }
  // A wrong address or token is the pipeline's own mistake: told at once, as everywhere.
  accessOf(options, world.env);
  let status: StatusView | null = null;
  await add('service', async () => {
    status = await asking(world, options, (client) => client.status());
    return { ok: `${status.pool} answers, version ${status.version}` };
  });
  const pools = (status as StatusView | null)?.pools ?? [];
  if (pools.length > 0)
    throw new CliError(
      `there are several pools, say with --pool whose the file is: ${pools.map(({ name }) => name).join(', ')}`,
      exitCodes.usage,
    );
  return status;
};

const cloudRules = async (
  shape: Shape,
  status: StatusView | null,
  options: PolicyOptions,
  world: World,
  add: Add,
): Promise<void> => {
  const env = cloudEnvironment(
    { cloud: options.cloud === undefined ? {} : { cloud: options.cloud } },
    world.env,
  );
  if (!Object.keys(env).some((name) => name.startsWith('OS_')))
    return add('cloud', () => ({ note: 'not looked at: no credentials (OS_* or --cloud NAME)' }));
  let cloud: OpenStackCloud | null = null;
  const subject = {
    shape: () => Promise.resolve(shape),
    cloud: () => Promise.resolve((cloud ??= createCloud({ env, installation: 'none' as InstallationId }))),
  };
  try {
    await add('flavor', () => checkFlavor(subject));
    await add('image', () => checkImage(subject));
    await add('networks', () => checkNetworks(subject));
    await add('quota', () => quotaVerdict(subject, status?.members.length ?? null));
  } finally {
    (cloud as OpenStackCloud | null)?.close();
  }
};

const busyRule = async (status: StatusView, options: PolicyOptions, world: World): Promise<Verdict> => {
  if (options.config === undefined && (world.env['VMPOOL_CONFIG'] ?? '') === '')
    return {
      note: 'cells not previewed: no configuration of the service here (--config), so no backend',
    };
  const { plainPulumi } = await import('../plain-pulumi.js');
  const pulumi = await plainPulumi(configOf(options, world), world.env);
  const previews = await previewAll(
    pulumi,
    pulumi.cells(),
    previewsAtOnce,
    AbortSignal.timeout(previewLimitMs),
  );
  return busyInPreviews(previews, status);
};
