import type { Command } from 'commander';
import { formatConfigErrors, loadConfig, type Config } from '../config/load.js';
import { CliError, exitCodes } from './exit.js';
import type { World } from './world.js';

export interface ConfigOptions {
  readonly config?: string;
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

/** Throws `CliError` (usage) with every error of the file. */
export const configOf = (options: ConfigOptions, world: World): Config => {
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
