import { Command } from 'commander';
import { asking, withAccess, withJson, withPool, type AccessOptions } from '../access.js';
import { statusText } from '../status-text.js';
import type { World } from '../world.js';

export const statusCommand = (world: World): Command =>
  withJson(withPool(withAccess(new Command('status'))))
    .description('the pool, what is wrong with it, its VMs and who waits')
    .action(async (options: AccessOptions) => {
      const status = await asking(world, options, (client) => client.status());
      world.terminal.out(
        options.json === true ? JSON.stringify(status, null, 2) : statusText(status, world.terminal.paint),
      );
    });
