import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, YAMLError } from 'yaml';
import { z } from 'zod';
import { parsePoolConfig, type PoolConfig } from '../../../stacks/pool-config.js';
import type { Parsed, RawConfig } from '../../../stacks/raw-config.js';
import { repoRoot } from '../../repo-root.js';
import { errorText } from '../../store/files.js';

const stackFile = z.looseObject({ config: z.record(z.string(), z.unknown()).default({}) });
const projectFile = z.looseObject({
  config: z.record(z.string(), z.looseObject({ default: z.unknown() })),
});

/**
 * Reads a pool stack's config file (`Pulumi.<pool>.yaml`) as the Pulumi program would receive it, defaults of
 * `Pulumi.yaml` included, and says every error at once. Encrypted values cannot be read without the stack's
 * passphrase; a pool's shape needs none.
 */
export const readStackFile = (path: string): Parsed<PoolConfig> => {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    return { ok: false, errors: [`${path} cannot be read: ${errorText(error)}`] };
  }
  return parseStackText(text, path, projectDefaults());
};

/** The same for a text. Pure. */
export const parseStackText = (text: string, path: string, defaults: RawConfig): Parsed<PoolConfig> => {
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
  const entries = Object.entries(file.data.config);
  const encrypted = entries.filter(([, value]) => isEncrypted(value)).map(([key]) => key);
  if (encrypted.length > 0)
    return {
      ok: false,
      errors: encrypted.map((key) => `${key} is encrypted: a pool's shape holds no secret; write it plainly`),
    };
  return parsePoolConfig({ ...defaults, ...rawOf(entries) });
};

/** The defaults that `Pulumi.yaml` declares; Pulumi gives them to the program as if they had been written. */
export const projectDefaults = (): RawConfig => {
  const { config } = projectFile.parse(parse(readFileSync(join(repoRoot, 'Pulumi.yaml'), 'utf8')));
  return rawOf(
    Object.entries(config).flatMap(([key, declared]): [string, unknown][] =>
      declared.default === undefined ? [] : [[key, declared.default]],
    ),
  );
};

const rawOf = (entries: readonly (readonly [string, unknown])[]): RawConfig =>
  Object.fromEntries(
    entries.flatMap(([key, value]): [string, string][] =>
      value === null || value === undefined
        ? []
        : [[key, typeof value === 'string' ? value : JSON.stringify(value)]],
    ),
  );

const isEncrypted = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.keys(value).length === 1 && 'secure' in value;
