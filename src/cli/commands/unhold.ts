import { Command } from 'commander';
import { withAccess, withJson } from '../access.js';
import { memberOrder } from '../member-order.js';
import type { World } from '../world.js';

export const unholdCommand = (world: World): Command =>
  withJson(withAccess(new Command('unhold')))
    .description('give a held VM back to the pool; it is cleaned and verified first')
    .argument('<vm>', 'name of the VM, as in vmpool status')
    .action(memberOrder(world, (client, vm) => client.unhold(vm)));
