import { readFileSync } from 'node:fs';
import type { Config } from '../config/load.js';

/** OS_* variables of the service's cloud, for its own reader and for Pulumi's provider alike. */
export function cloudEnvironment(
  config: Pick<Config, 'cloud'>,
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (name.startsWith('OS_') && value !== undefined) found[name] = value;
  }
  // clouds.yaml is searched below the home and config directories.
  for (const name of ['HOME', 'XDG_CONFIG_HOME', 'SSL_CERT_FILE', 'SSL_CERT_DIR']) {
    const value = env[name];
    if (value !== undefined) found[name] = value;
  }
  if (config.cloud.envFile !== undefined)
    Object.assign(found, parseEnvFile(readFileSync(config.cloud.envFile, 'utf8')));
  if (config.cloud.cloud !== undefined) found.OS_CLOUD = config.cloud.cloud;
  return found;
}

/** Lines `[export] OS_NAME=value`, quoted or not; nothing is executed. Throws for any other line. */
export function parseEnvFile(text: string): Record<string, string> {
  const found: Record<string, string> = {};
  text.split('\n').forEach((line, index) => {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) return;
    const match = /^(?:export\s+)?(OS_[A-Z0-9_]+)=(?:"([^"]*)"|'([^']*)'|(\S*))$/.exec(trimmed);
    if (match === null)
      throw new Error(`line ${index + 1} of the cloud's envFile is not OS_NAME=value; code is not executed`);
    found[match[1] as string] = match[2] ?? match[3] ?? match[4] ?? '';
  });
  return found;
}
