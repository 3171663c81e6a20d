import { Command } from 'commander';
import { asking, withAccess, withJson, type AccessOptions } from '../access.js';
import { wholeNumber } from '../numbers.js';
import { memberText } from '../screens/member.js';
import { widthOf } from '../terminal.js';
import type { World } from '../world.js';
import { ProblemError } from '../../http/client.js';
import { CliError, exitCodes } from '../exit.js';

interface ShowOptions extends AccessOptions {
  readonly console?: boolean;
  readonly history: number;
}

const showCommand = (world: World): Command =>
  withJson(withAccess(new Command('show')))
    .description('one VM whole: state, spec, job, probe, history and, of a failed boot, the console log')
    .argument('<vm>', 'name of the VM, as in vmpool vms')
    .option('--console', 'the console log as the cloud has it now, too (operator)')
    .option('-n, --history <lines>', 'so many lines of history', wholeNumber, 30)
    .action(async (name: string, options: ShowOptions) => {
      const { terminal } = world;
      const [detail, history, log] = await asking(world, options, async (client) => {
        const found = await client.member(name).catch(async (error: unknown) => {
          if (!(error instanceof ProblemError) || error.code !== 'not-found') throw error;
          const [last] = (await client.history({ vm: name, most: 1 })).slice(-1);
          throw new CliError(
            last === undefined
              ? `there is no VM ${name}, and the history knows of none: vmpool vms names those there are`
              : `VM ${name} is gone since ${last.at} (${last.detail}): vmpool events --history --vm ${name} tells its story`,
            exitCodes.refused,
          );
        });
        return [
          found,
          await client.history({ vm: name, most: Math.min(options.history, 9_999) }),
          options.console === true ? (await client.console(name)).text : null,
        ] as const;
      });
      if (options.json === true) {
        terminal.out(JSON.stringify({ ...detail, history, console: log }, null, 2));
        return;
      }
      terminal.out(memberText(detail, history, log, Date.now(), terminal.paint, widthOf(terminal)));
    });

export const vmCommand = (world: World): Command =>
  new Command('vm').description('look at one VM').addCommand(showCommand(world));
