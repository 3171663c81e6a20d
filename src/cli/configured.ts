import type { Command } from 'commander';
import { formatConfigErrors, loadConfig, type Config } from '../config/load.js';
import { configOfPool, poolsOf } from '../config/of-pool.js';
import { CliError, exitCodes } from './exit.js';
import type { World } from './world.js';

export interface ConfigOptions {
  readonly config?: string;
  readonly pool?: string;
}

export const defaultConfigFile = '/etc/vmpool/vmpool.yaml';

/** Adds the option of every command that reads the service's configuration itself. */
export const withConfig = (command: Command): Command =>
  command.option(
    '-c, --config <file>',
    `configuration of the service (VMPOOL_CONFIG; otherwise ${defaultConfigFile})`,
  );

export const configFileOf = (options: ConfigOptions, env: World['env']): string =>
  options.config ?? (env['VMPOOL_CONFIG'] || defaultConfigFile);

/** Of one pool: the one that `--pool` names, otherwise the only one. Throws `CliError` (usage), with every error of the file. */
export const configOf = (options: ConfigOptions, world: World): Config => {
  const config = wholeConfigOf(options, world);
  const names = poolsOf(config);
  if (options.pool === undefined && names.length > 1)
    throw new CliError(
      `there are several pools, say which with --pool: ${names.join(', ')}`,
      exitCodes.usage,
    );
  return namedIn(config, options.pool ?? config.pool);
};

/** Of every pool, or of the one that `--pool` names. Throws as `configOf`. */
export const configsOf = (options: ConfigOptions, world: World): readonly Config[] => {
  const config = wholeConfigOf(options, world);
  const names = options.pool === undefined ? poolsOf(config) : [options.pool];
  return names.map((name) => namedIn(config, name));
};

const namedIn = (config: Config, name: string): Config => {
  const names = poolsOf(config);
  if (!names.includes(name))
    throw new CliError(`there is no pool ${name}; there is ${names.join(', ')}`, exitCodes.usage);
  return configOfPool(config, name);
};

/** As it stands in the file. Throws as `configOf`. */
export const wholeConfigOf = (options: ConfigOptions, world: World): Config => {
  const file = configFileOf(options, world.env);
  const loaded = loadConfig(file, world.env);
  if (!loaded.ok) {
    throw new CliError(
      `the configuration cannot be used:\n${formatConfigErrors(file, loaded.errors)}`,
      exitCodes.usage,
    );
  }
  return loaded.config;
};
