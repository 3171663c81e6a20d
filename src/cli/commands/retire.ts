import { Command } from 'commander';
import { withAccess, withJson } from '../access.js';
import { memberOrder, withReason } from '../member-order.js';
import type { World } from '../world.js';

export const retireCommand = (world: World): Command =>
  withJson(withAccess(withReason(new Command('retire'), 'kept in the history')))
    .description('end a VM: now, or when its job ends')
    .argument('<vm>', 'name of the VM, as in vmpool vms')
    .action(memberOrder<object>(world, (client, vm, { reason = '' }) => client.retire(vm, reason)));
