import { readFileSync } from 'node:fs';
import { parse, YAMLError } from 'yaml';
import { z } from 'zod';
import { parsePoolConfig, type PoolConfig } from '../../../stacks/pool-config.js';
import type { Parsed } from '../../../stacks/raw-config.js';
import type { StackConfig } from '../../engine/port.js';
import { effectiveConfig, projectDefaults } from '../../engine/stack-config.js';
import { errorText } from '../../store/files.js';

const stackFile = z.looseObject({ config: z.record(z.string(), z.unknown()).default({}) });

/** Reads the config of a pool stack's file (`Pulumi.<pool>.yaml`) as it is written there. */
export const readStackConfig = (path: string): Parsed<StackConfig> => {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    return { ok: false, errors: [`${path} cannot be read: ${errorText(error)}`] };
  }
  return parseStackConfig(text, path);
};

/** The same for a text. Encrypted values cannot be read without the stack's passphrase; a pool's shape needs none. Pure. */
const parseStackConfig = (text: string, path: string): Parsed<StackConfig> => {
  let written: unknown;
  try {
    written = parse(text);
  } catch (error) {
    const why = error instanceof YAMLError ? error.message : String(error);
    return { ok: false, errors: [`${path} is not YAML: ${why}`] };
  }
  const file = stackFile.safeParse(written ?? {});
  if (!file.success)
    return { ok: false, errors: [`${path}: config must be a map of keys such as vmpool:max`] };
  const encrypted = Object.entries(file.data.config).flatMap(([key, value]) =>
    isEncrypted(value) ? [`${key} is encrypted: a pool's shape holds no secret; write it plainly`] : [],
  );
  return encrypted.length > 0 ? { ok: false, errors: encrypted } : { ok: true, value: file.data.config };
};

/**
 * Reads a pool stack's config file as the Pulumi program would receive it, defaults of `Pulumi.yaml` included, and says
 * every error at once.
 */
export const readStackFile = (path: string): Parsed<PoolConfig> =>
  shapeIn(readStackConfig(path), projectDefaults());

/** The same for a text. Pure. */
export const parseStackText = (text: string, path: string, defaults: StackConfig): Parsed<PoolConfig> =>
  shapeIn(parseStackConfig(text, path), defaults);

/** The shape in a config that was read; what was wrong with the reading stays so. Pure. */
export const shapeIn = (read: Parsed<StackConfig>, defaults: StackConfig): Parsed<PoolConfig> =>
  read.ok ? parsePoolConfig(effectiveConfig(read.value, defaults)) : read;

const isEncrypted = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.keys(value).length === 1 && 'secure' in value;
