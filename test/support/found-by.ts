import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCloud, machineFiles } from '../../src/cloud/openstack.js';
import type { OpenStackCloud } from '../../src/cloud/openstack.js';
import type { Lookup } from '../../src/cloud/port.js';
import type { InstallationId } from '../../src/pool/model.js';
import { ProviderProcess } from './provider-process.js';
import { fileText, type CloudFacts, type WayIn } from './ways-in.js';

/** Ids of the three names that a pool's shape is made of, as one of the two finds them. */
export type Found = readonly [network: string, flavor: string, image: string];

export interface Surroundings {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
}

const still = (): AbortSignal => AbortSignal.timeout(120_000);

const idOf = (lookup: Lookup<{ id: string }>): string => {
  if (lookup.found) return lookup.value.id;
  throw new Error(lookup.why);
};

export const readerFinds = async (reader: OpenStackCloud): Promise<Found> => [
  idOf(await reader.network('net0', still())),
  idOf(await reader.flavor('small', still())),
  idOf(await reader.image('debian-vm', still())),
];

export const providerFinds = async (provider: ProviderProcess): Promise<Found> => {
  const id = async (token: string, args: Record<string, string>): Promise<string> =>
    String((await provider.invoke(token, args))['id']);
  return [
    await id('openstack:networking/getNetwork:getNetwork', { name: 'net0' }),
    await id('openstack:compute/getFlavor:getFlavor', { name: 'small' }),
    await id('openstack:images/getImage:getImage', { name: 'debian-vm' }),
  ];
};

/** Readers and providers that come to a cloud in some way, and are closed together. */
export class Arrivals {
  readonly #open: { close(): unknown }[] = [];

  /** `root`: where each way gets a working directory. */
  constructor(readonly root: string) {}

  /** The environment of a way in, with its files in a working directory of its own. */
  surroundings(way: WayIn, facts: CloudFacts): Surroundings {
    const cwd = mkdtempSync(join(this.root, 'cwd-'));
    for (const [name, content] of Object.entries(way.files?.(facts) ?? {}))
      writeFileSync(join(cwd, name), fileText(content));
    return { env: way.env(facts), cwd };
  }

  reader({ env, cwd }: Surroundings): OpenStackCloud {
    const files = { ...machineFiles(), cwd, home: cwd };
    const cloud = createCloud({ env, installation: 'none' as InstallationId, files });
    this.#open.push(cloud);
    return cloud;
  }

  async provider({ env, cwd }: Surroundings): Promise<ProviderProcess> {
    const provider = await ProviderProcess.start(env, { cwd });
    this.#open.push(provider);
    return provider;
  }

  async close(): Promise<void> {
    for (const each of this.#open.splice(0)) await each.close();
  }
}
