import { Command } from 'commander';
import { withAccess, withJson } from '../access.js';
import { memberOrder } from '../member-order.js';
import type { World } from '../world.js';

export const holdCommand = (world: World): Command =>
  withJson(withAccess(new Command('hold')))
    .description('keep a VM for you to look at: now, or when its job ends')
    .argument('<vm>', 'name of the VM, as in vmpool status')
    .option('-r, --reason <text>', 'told on the status', 'ordered by an operator')
    .action(memberOrder(world, (client, vm, { reason }) => client.hold(vm, reason ?? '')));
