import { Command } from 'commander';
import { runDemo } from '../../demo/demo.js';
import type { World } from '../world.js';

export const demoCommand = (world: World): Command =>
  new Command('demo')
    .description('run a mixed load of real jobs through the whole path on an embedded cloud (as root)')
    .option('--keep', 'keep the directory with configuration, logs and outputs')
    .option('--plain', 'progress lines instead of the live view')
    .action(async (options: { readonly keep?: boolean; readonly plain?: boolean }) => {
      world.exitWith(
        await runDemo({ keep: options.keep === true, plain: options.plain === true }, world.terminal),
      );
    });
