import { Command } from 'commander';
import { withAccess, accessOf, type AccessOptions } from '../access.js';
import { exitCodes } from '../exit.js';
import { jobUserOf, requireSsh } from '../job-user.js';
import { runOnVm } from '../run-on-vm.js';
import type { World } from '../world.js';
import { wholeSeconds } from './request.js';

interface RunOptions extends AccessOptions {
  readonly user?: string;
  readonly wait: number;
  readonly quiet?: boolean;
}

export const runCommand = (world: World): Command =>
  withAccess(new Command('run'))
    .description('lease a VM, run a command there and give the VM back (needs a worker token)')
    .argument('<command...>', 'the command and its arguments, after --')
    .option('-u, --user <name>', 'run it as this account of this machine (otherwise yours)')
    .option('-w, --wait <seconds>', 'how long to wait for a VM', wholeSeconds, 600)
    .option('-q, --quiet', 'say nothing besides errors')
    .addHelpText(
      'after',
      '\nThe exit code is that of the command, or 125 when VM Pool could not run it.\nExample: vmpool run -- hostname',
    )
    .action(async (command: string[], options: RunOptions) => {
      const access = accessOf(options, world.env);
      const user = await jobUserOf(options.user);
      await requireSsh();
      const client = world.connect(access);
      try {
        const tell = options.quiet === true ? () => undefined : (text: string) => world.terminal.err(text);
        const ended = await runOnVm(client, user, command, options.wait * 1000, tell);
        if (ended.kind === 'failed') world.terminal.err(`vmpool: ${ended.why}`);
        world.exitWith(ended.kind === 'exit' ? ended.code : exitCodes.runFailed);
      } finally {
        client.close();
      }
    });
