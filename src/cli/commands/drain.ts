import { Command } from 'commander';
import { withAccess, withJson } from '../access.js';
import { memberOrder, withReason } from '../member-order.js';
import type { World } from '../world.js';

export const drainCommand = (world: World): Command =>
  withJson(withAccess(withReason(new Command('drain'), 'told on the status')))
    .description('keep further jobs from a VM: its job ends, it is cleaned, and stays')
    .argument('<vm>', 'name of the VM, as in vmpool vms')
    .action(memberOrder<object>(world, (client, vm, { reason = '' }) => client.drain(vm, reason)));

export const undrainCommand = (world: World): Command =>
  withJson(withAccess(new Command('undrain')))
    .description('let a drained VM have jobs again; it is cleaned and verified first')
    .argument('<vm>', 'name of the VM, as in vmpool vms')
    .action(memberOrder(world, (client, vm) => client.unhold(vm)));
