import { Command } from 'commander';
import { asking, withAccess, withJson, withPool, type AccessOptions } from '../access.js';
import { noRequests, requestsText } from '../screens/leases.js';
import { widthOf } from '../terminal.js';
import type { World } from '../world.js';

export const requestsCommand = (world: World): Command =>
  withJson(withPool(withAccess(new Command('requests'))))
    .description(
      'the jobs that wait for a VM, the next first: how long, how long they may, and what each waits for',
    )
    .action(async (options: AccessOptions) => {
      const { terminal } = world;
      const status = await asking(world, options, (client) => client.status());
      const { requests, now } = status;
      if (options.json === true) terminal.out(JSON.stringify({ requests }, null, 2));
      else
        terminal.out(
          requests.length === 0
            ? noRequests(status)
            : requestsText(requests, Date.parse(now), terminal.paint, widthOf(terminal)),
        );
    });
