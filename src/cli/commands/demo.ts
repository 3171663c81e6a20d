import { Command } from 'commander';
import type { World } from '../world.js';

interface DemoOptions {
  readonly keep?: boolean;
  readonly plain?: boolean;
  readonly json?: boolean;
  readonly services?: boolean;
}

export const demoCommand = (world: World): Command =>
  new Command('demo')
    .description('run a mixed load of real jobs through the whole path on an embedded cloud (as root)')
    .option('--keep', 'keep the directory with configuration, logs and outputs')
    .option('--plain', 'progress lines instead of the live view')
    .option('--json', 'the outcome as JSON; progress on standard error')
    .option(
      '--services',
      'instead of jobs: Nagios and Ganglia on a host of their own follow the pool up and down',
    )
    .action(async (options: DemoOptions) => {
      const { runDemo } = await import('../../demo/demo.js');
      world.exitWith(
        await runDemo(
          {
            keep: options.keep === true,
            plain: options.plain === true,
            json: options.json === true,
            services: options.services === true,
          },
          world.terminal,
        ),
      );
    });
