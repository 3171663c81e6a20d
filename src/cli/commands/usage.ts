import { Command, InvalidArgumentError } from 'commander';
import { usageGroups, type UsageGroup } from '../../http/usage-api.js';
import { asking, withAccess, withJson, withPool, type AccessOptions } from '../access.js';
import { CliError, exitCodes } from '../exit.js';
import { momentOf } from '../numbers.js';
import { usageCsv, usageText } from '../screens/usage.js';
import { widthOf } from '../terminal.js';
import type { World } from '../world.js';

interface UsageOptions extends AccessOptions {
  readonly by: readonly UsageGroup[];
  readonly since?: string;
  readonly until?: string;
  readonly user?: string;
  readonly queue?: string;
  readonly csv?: boolean;
}

const groupsOf = (text: string): readonly UsageGroup[] => {
  const groups = [...new Set(text.split(','))];
  const known = groups.flatMap((name) => usageGroups.find((group) => group === name) ?? []);
  if (known.length !== groups.length || known.length > 4)
    throw new InvalidArgumentError(`give one to four of ${usageGroups.join(', ')}, with commas`);
  return known;
};

export const usageCommand = (world: World): Command =>
  withJson(withPool(withAccess(new Command('usage'))))
    .description('who used how much: ended leases summed by user, queue, day and so on')
    .option('-b, --by <list>', `any of ${usageGroups.join(', ')}, with commas`, groupsOf, ['user'] as const)
    .option('--since <when>', 'a date, or how long ago: 30d (default: 30d)', momentOf(Date.now))
    .option('--until <when>', 'a date, or how long ago (default: now)', momentOf(Date.now))
    .option('-u, --user <name>', 'only of this user')
    .option('-q, --queue <name>', 'only of this queue')
    .option('--csv', 'comma-separated, times in seconds')
    .action(async (options: UsageOptions) => {
      const { by, since, until, user, queue } = options;
      const { terminal } = world;
      if (options.csv === true && options.json === true)
        throw new CliError('give either --csv or --json', exitCodes.usage);
      const view = await asking(world, options, (client) =>
        client.usage({
          by,
          ...(since === undefined ? {} : { since }),
          ...(until === undefined ? {} : { until }),
          ...(user === undefined ? {} : { user }),
          ...(queue === undefined ? {} : { queue }),
        }),
      );
      if (view.isCut)
        terminal.err(
          'vmpool: there were more lines than an answer holds; ask for a shorter time, or sum up more',
        );
      if (options.json === true) terminal.out(JSON.stringify(view, null, 2));
      else if (options.csv === true) terminal.out(usageCsv(view));
      else terminal.out(usageText(view, terminal.paint, widthOf(terminal)));
    });
