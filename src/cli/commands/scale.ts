import { Command } from 'commander';
import type { ScaleOrder } from '../../http/config-api.js';
import { asking, withAccess, withJson, withPool } from '../access.js';
import { CliError, exitCodes } from '../exit.js';
import { withReason, type OrderOptions } from '../member-order.js';
import { wholeNumberOrNone } from '../numbers.js';
import { configText } from '../screens/config.js';
import type { World } from '../world.js';

interface ScaleOptions extends OrderOptions {
  readonly min?: number;
  readonly max?: number;
  readonly spare?: number;
  readonly dryRun?: boolean;
}

export const scaleCommand = (world: World): Command =>
  withJson(
    withPool(withAccess(withReason(new Command('scale'), "kept in the stack's history")), 'it must be named'),
  )
    .description("change min, max or spare: the service brings the pool's stack up and adopts it")
    .option('--min <number>', 'VMs at least', wholeNumberOrNone)
    .option('--max <number>', 'VMs at most', wholeNumberOrNone)
    .option('--spare <number>', 'Free VMs beyond demand', wholeNumberOrNone)
    .option('-n, --dry-run', 'only say what would change and what speaks against it')
    .addHelpText(
      'after',
      "\nThe other settings stay as they were at the stack's last update. A checkout's Pulumi.<pool>.yaml is not\nchanged: write the new sizes into it, or the next pulumi up from there takes them back.",
    )
    .action(async ({ min, max, spare, reason, dryRun, ...options }: ScaleOptions) => {
      const sizes = { min, max, spare };
      if (Object.values(sizes).every((size) => size === undefined))
        throw new CliError('give at least one of --min, --max and --spare', exitCodes.usage);
      const order: ScaleOrder = { reason, dryRun: dryRun === true };
      for (const [key, size] of Object.entries(sizes) as ['min' | 'max' | 'spare', number | undefined][])
        if (size !== undefined) order[key] = size;
      const { pool, answer } = await asking(world, options, async (client) => {
        const { pool: name } = await client.status();
        return { pool: name, answer: await client.scale(order) };
      });
      const inFile = answer.applied ? answer.changes.map(({ key, to }) => `  ${key}: ${to ?? ''}`) : [];
      if (options.json === true) world.terminal.out(JSON.stringify(answer));
      else
        world.terminal.out(
          [
            configText(answer, world.terminal.paint),
            ...(inFile.length === 0
              ? []
              : [
                  `A checkout's Pulumi.${pool}.yaml is as before: write this into it, or the next pulumi up takes it back.`,
                  ...inFile,
                ]),
          ].join('\n'),
        );
    });
