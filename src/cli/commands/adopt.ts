import { Command } from 'commander';
import { asking, withAccess, withJson, withPool, type AccessOptions } from '../access.js';
import type { World } from '../world.js';

export const adoptCommand = (world: World): Command =>
  withJson(withPool(withAccess(new Command('adopt'))))
    .description("take over the pool stack's shape now (after pulumi up) instead of at the next period")
    .action(async (options: AccessOptions) => {
      const answer = await asking(world, options, (client) => client.adopt());
      world.terminal.out(options.json === true ? JSON.stringify(answer) : answer.detail);
    });
