import { Command } from 'commander';
import { configFileOf, wholeConfigOf, withConfig, type ConfigOptions } from '../configured.js';
import type { World } from '../world.js';

export const serveCommand = (world: World): Command =>
  withConfig(new Command('serve'))
    .description('run the service in the foreground; SIGHUP reads the configuration again, SIGTERM ends it')
    .action(async (options: ConfigOptions) => {
      const config = wholeConfigOf(options, world);
      // What only this command needs would make every other one slower to start.
      const { serve } = await import('../serve.js');
      world.exitWith(await serve(configFileOf(options, world.env), config, world.env));
    });
