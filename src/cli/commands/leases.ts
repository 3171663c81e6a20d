import { Command } from 'commander';
import { asking, withAccess, withJson, withPool, type AccessOptions } from '../access.js';
import { leasesText } from '../screens/leases.js';
import { widthOf } from '../terminal.js';
import type { World } from '../world.js';

export const leasesCommand = (world: World): Command =>
  withJson(withPool(withAccess(new Command('leases'))))
    .description('the jobs that have a VM: those whose VM is being made ready first, then the oldest')
    .action(async (options: AccessOptions) => {
      const { terminal } = world;
      const { leases, now } = await asking(world, options, (client) => client.status());
      if (options.json === true) terminal.out(JSON.stringify({ leases }, null, 2));
      else
        terminal.out(
          leases.length === 0
            ? 'No job has a VM.'
            : leasesText(leases, Date.parse(now), terminal.paint, widthOf(terminal)),
        );
    });
