import { Command } from 'commander';
import { asking, withAccess, withJson, type AccessOptions } from '../access.js';
import type { World } from '../world.js';

export const consoleCommand = (world: World): Command =>
  withJson(withAccess(new Command('console')))
    .description("the end of a VM's console log, as the cloud has it now")
    .argument('<vm>', 'name of the VM, as in vmpool vms')
    .action(async (vm: string, options: AccessOptions) => {
      const answer = await asking(world, options, (client) => client.console(vm));
      if (options.json === true) world.terminal.out(JSON.stringify(answer));
      else if (answer.text.trim() === '') world.terminal.err(`the console of ${vm} is empty`);
      else world.terminal.out(answer.text.trimEnd());
    });
