import { Command } from 'commander';
import { projectDefaults } from '../../engine/stack-config.js';
import { asking, withAccess, withJson, withPool } from '../access.js';
import { CliError, exitCodes } from '../exit.js';
import { withReason, type OrderOptions } from '../member-order.js';
import { readStackConfig, shapeIn } from '../policy/stack-file.js';
import { configText } from '../screens/config.js';
import type { World } from '../world.js';

interface ApplyOptions extends OrderOptions {
  readonly dryRun?: boolean;
  readonly overwrite?: boolean;
}

export const applyCommand = (world: World): Command =>
  withJson(
    withPool(withAccess(withReason(new Command('apply'), "kept in the stack's history")), 'it must be named'),
  )
    .description(
      "bring the pool's stack up with a config file, by the service: for a pipeline without its backend",
    )
    .argument('<file>', "the pool stack's config file, Pulumi.<pool>.yaml")
    .option('-n, --dry-run', 'only say what would change and what speaks against it')
    .option('--overwrite', 'also take back sizes that vmpool scale has set since')
    .addHelpText(
      'after',
      '\nThe file holds the whole config, as for pulumi up. Exit code 0: adopted, or nothing to change (or, with\n--dry-run, it would be adopted); 2: the file is no shape; 4: the service refuses it and says why.',
    )
    .action(async (file: string, { reason, dryRun, overwrite, ...options }: ApplyOptions) => {
      const read = readStackConfig(file);
      const shape = shapeIn(read, projectDefaults());
      if (!read.ok || !shape.ok)
        throw new CliError(
          `the file is no pool's config:\n${(shape.ok ? [] : shape.errors).map((error) => `  ${error}`).join('\n')}`,
          exitCodes.usage,
        );
      const answer = await asking(world, options, (client) =>
        client.changeConfig({
          config: { ...read.value },
          dryRun: dryRun === true,
          overwrite: overwrite === true,
          reason,
        }),
      );
      world.terminal.out(
        options.json === true ? JSON.stringify(answer) : configText(answer, world.terminal.paint),
      );
    });
