import { z } from 'zod';
import type { MemberSpec, Shape } from '../src/pool/model.js';
import { structuredValueOf, unknownKeys, valueOf, type Parsed, type RawConfig } from './raw-config.js';
import { parseServices, type Services } from './services/registry.js';
import { generationOf, serverGroupPolicies } from './shape.js';
import { adminKeyPlaceholder, canBeMerged, renderUserData } from './user-data.js';

/** Keys of a pool stack, as `Pulumi.yaml` declares them. */
export const poolKeys = [
  'kind',
  'min',
  'max',
  'spare',
  'maxAge',
  'flavor',
  'image',
  'networks',
  'sshNetwork',
  'siteNetwork',
  'securityGroups',
  'availabilityZones',
  'adminKey',
  'userData',
  'metadata',
  'configDrive',
  'bootVolumeGiB',
  'floatingIpPool',
  'serverGroupPolicy',
  'services',
] as const;
type PoolKey = (typeof poolKeys)[number];

/** Nova refuses more than 65535 bytes of base64. */
const userDataLimitBytes = 49_149;
/** Nova's limit for a metadata key and for a value. */
const metadataLimit = 255;
const reservedMetadataPrefix = 'vmpool_';

const millisByUnit = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** What a pool's stack publishes: its shape, and the services that follow its nodes, by name. */
export interface PoolConfig {
  readonly shape: Shape;
  readonly services: Services;
}

/** Reads a pool stack's config and says every error at once. Pure. */
export const parsePoolConfig = (raw: RawConfig): Parsed<PoolConfig> => {
  const errors: string[] = [];
  const refuse = (key: PoolKey, what: string): void => {
    errors.push(`vmpool:${key}: ${what}`);
  };
  const text = (key: PoolKey): string => (valueOf(raw, key) ?? '').trim();

  const count = (key: PoolKey): number => {
    const value = text(key);
    if (value === '') {
      return 0;
    }
    if (!/^\d{1,6}$/.test(value)) {
      refuse(key, `"${value}" is not a whole number from 0 to 999999`);
      return 0;
    }
    return Number(value);
  };

  const required = (key: PoolKey, what: string): string => {
    const value = text(key);
    if (value === '') {
      refuse(key, `is not set: ${what}`);
    }
    return value;
  };

  const names = (key: PoolKey): readonly string[] => {
    const found = structuredValueOf(raw, key);
    if (found.kind === 'missing') {
      return [];
    }
    const list = z
      .array(z.string().trim().min(1))
      .safeParse(found.kind === 'value' ? found.value : undefined);
    if (!list.success) {
      refuse(key, 'is not a list of names');
      return [];
    }
    const twice = list.data.find((name, at) => list.data.indexOf(name) !== at);
    if (twice !== undefined) {
      refuse(key, `names "${twice}" twice`);
    }
    return list.data;
  };

  const yesOrNo = (key: PoolKey): boolean => {
    const value = text(key);
    if (value !== '' && value !== 'true' && value !== 'false') {
      refuse(key, `"${value}" is neither true nor false`);
    }
    return value === 'true';
  };

  const maxAgeMs = (): number | null => {
    const value = text('maxAge');
    if (value === '') {
      return null;
    }
    const parts = /^(\d{1,6})([smhd])$/.exec(value);
    const millis =
      parts === null ? 0 : Number(parts[1]) * millisByUnit[parts[2] as keyof typeof millisByUnit];
    if (millis <= 0) {
      refuse('maxAge', `"${value}" is not a duration: write a number and one of s, m, h, d, for example 12h`);
      return null;
    }
    return millis;
  };

  const metadata = (): Readonly<Record<string, string>> => {
    const found = structuredValueOf(raw, 'metadata');
    if (found.kind === 'missing') {
      return {};
    }
    const map = z
      .record(z.string().min(1).max(metadataLimit), z.string().max(metadataLimit))
      .safeParse(found.kind === 'value' ? found.value : undefined);
    if (!map.success) {
      refuse('metadata', `is not a map of strings of at most ${metadataLimit} characters (quote numbers)`);
      return {};
    }
    for (const key of Object.keys(map.data)) {
      if (key.startsWith(reservedMetadataPrefix)) {
        refuse('metadata', `the key "${key}" is reserved: keys beginning with vmpool_ are the pool's own`);
      }
    }
    return map.data;
  };

  const userData = (): string => {
    const adminKey = text('adminKey');
    const template = valueOf(raw, 'userData') ?? '';
    if (adminKey === '') {
      if (template === '' || template.includes(adminKeyPlaceholder)) {
        refuse(
          'adminKey',
          "is not set: the service reaches the VMs with this key; give the public key's one line",
        );
      }
    } else if (!/^[a-z0-9@.-]+ [A-Za-z0-9+/=]{16,}( [^\r\n']*)?$/.test(adminKey)) {
      refuse(
        'adminKey',
        "is not one line of a public key as in authorized_keys (type, key, comment without ')",
      );
    }
    const secret = /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(template);
    if (secret) {
      refuse('userData', 'holds a private key: user data is readable by everyone who can read the server');
    }
    const rendered = renderUserData(template, adminKey);
    const toMerge = template !== '' && adminKey !== '' && !template.includes(adminKeyPlaceholder);
    if (Buffer.byteLength(rendered) > userDataLimitBytes) {
      refuse('userData', `is longer than the ${userDataLimitBytes} bytes that Nova takes`);
    } else if (toMerge && !secret && !canBeMerged(template)) {
      refuse(
        'userData',
        'cannot be merged with the script that installs adminKey: begin it with #!, #cloud-config or another of ' +
          "cloud-init's forms, or put @ADMIN_KEY@ into it",
      );
    }
    return rendered;
  };

  const among = (
    key: 'sshNetwork' | 'siteNetwork',
    networks: readonly string[],
    fallback: string,
  ): string => {
    const value = text(key) === '' ? fallback : text(key);
    if (networks.length > 0 && !networks.includes(value)) {
      refuse(key, `"${value}" is not one of vmpool:networks (${networks.join(', ')})`);
    }
    return value;
  };

  const serverGroupPolicy = (): MemberSpec['serverGroupPolicy'] => {
    const value = text('serverGroupPolicy');
    const known = serverGroupPolicies.find((policy) => policy === value);
    if (value !== '' && known === undefined) {
      refuse('serverGroupPolicy', `"${value}" is none of ${serverGroupPolicies.join(', ')}`);
    }
    return known ?? null;
  };

  const services = (): Services => {
    const found = structuredValueOf(raw, 'services');
    if (found.kind === 'missing') {
      return {};
    }
    const parsed = parseServices(found.kind === 'value' ? found.value : undefined);
    if (!parsed.ok) {
      for (const error of parsed.errors) refuse('services', error);
      return {};
    }
    return parsed.value;
  };

  for (const key of unknownKeys(raw, poolKeys)) {
    errors.push(`vmpool:${key}: is unknown to a pool stack; the known keys are ${poolKeys.join(', ')}`);
  }
  const min = count('min');
  const max = count('max');
  const spare = count('spare');
  if (max === 0) {
    refuse('max', 'is not set or 0: a pool needs at least one VM at most');
  } else {
    if (min > max) {
      refuse('min', `${min} is more than vmpool:max (${max})`);
    }
    if (spare > max) {
      refuse('spare', `${spare} is more than vmpool:max (${max})`);
    }
  }
  const networks = names('networks');
  if (networks.length === 0 && !errors.some((error) => error.startsWith('vmpool:networks:'))) {
    refuse('networks', 'is not set: name at least one network');
  }
  const sshNetwork = among('sshNetwork', networks, networks[0] ?? '');
  const bootVolumeGiB = count('bootVolumeGiB');
  const floatingIpPool = text('floatingIpPool');
  const spec: MemberSpec = {
    flavor: required('flavor', 'name a flavor of the cloud'),
    image: required('image', 'name an image of the cloud'),
    networks,
    sshNetwork,
    siteNetwork: among('siteNetwork', networks, sshNetwork),
    securityGroups: names('securityGroups'),
    availabilityZones: names('availabilityZones'),
    userData: userData(),
    metadata: metadata(),
    configDrive: yesOrNo('configDrive'),
    bootVolumeGiB: bootVolumeGiB === 0 ? null : bootVolumeGiB,
    floatingIpPool: floatingIpPool === '' ? null : floatingIpPool,
    serverGroupPolicy: serverGroupPolicy(),
  };
  const shape: Shape = { min, max, spare, maxAgeMs: maxAgeMs(), spec, generation: generationOf(spec) };
  const value: PoolConfig = { shape, services: services() };
  return errors.length > 0 ? { ok: false, errors } : { ok: true, value };
};
