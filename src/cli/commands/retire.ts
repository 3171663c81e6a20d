import { Command } from 'commander';
import { withAccess, withJson } from '../access.js';
import { memberOrder } from '../member-order.js';
import type { World } from '../world.js';

export const retireCommand = (world: World): Command =>
  withJson(withAccess(new Command('retire')))
    .description('end a VM: now, or when its job ends')
    .argument('<vm>', 'name of the VM, as in vmpool status')
    .option('-r, --reason <text>', 'kept in the history', 'ordered by an operator')
    .action(memberOrder(world, (client, vm, { reason }) => client.retire(vm, reason ?? '')));
