import { createInterface } from 'node:readline/promises';
import { Command } from 'commander';
import { asking, withAccess, withJson } from '../access.js';
import { CliError, exitCodes } from '../exit.js';
import { withReason, type OrderOptions } from '../member-order.js';
import type { World } from '../world.js';

interface KillOptions extends OrderOptions {
  readonly yes?: boolean;
}

export const killCommand = (world: World): Command =>
  withJson(withAccess(withReason(new Command('kill'), 'kept in the history')))
    .description('end a VM now, and the job on it with it; asks first')
    .argument('<vm>', 'name of the VM, as in vmpool vms')
    .option('-y, --yes', 'do not ask: for scripts')
    .action(async (vm: string, options: KillOptions) => {
      const answer = await asking(world, options, async (client) => {
        if (options.yes !== true) {
          const { members } = await client.status();
          const job = members.find(({ name }) => name === vm)?.job;
          const what =
            job == null ? 'No job runs there.' : `Job ${job.id} of ${job.user} runs there and ends with it.`;
          const said = await world.confirm(`End VM ${vm} now? ${what}`);
          if (said === null)
            throw new CliError('there is no terminal to ask at: say --yes to end the VM', exitCodes.usage);
          if (!said) throw new CliError(`VM ${vm} was left alone`);
        }
        return client.kill(vm, options.reason ?? '');
      });
      world.terminal.out(options.json === true ? JSON.stringify(answer) : answer.detail);
    });

/** Asks on the terminal; null where there is none. Anything but `y` or `yes` is no. */
export const confirmAtTerminal = async (question: string): Promise<boolean | null> => {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return null;
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^\s*y(es)?\s*$/i.test(await lines.question(`${question} [y/N] `));
  } finally {
    lines.close();
  }
};
