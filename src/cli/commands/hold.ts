import { Command } from 'commander';
import { withAccess, withJson } from '../access.js';
import { memberOrder, withReason } from '../member-order.js';
import { secondsOf } from '../numbers.js';
import type { World } from '../world.js';

export const holdCommand = (world: World): Command =>
  withJson(withAccess(withReason(new Command('hold'), 'told on the status')))
    .description('keep a VM for you to look at: now, or when its job ends')
    .argument('<vm>', 'name of the VM, as in vmpool vms')
    .option(
      '-f, --for <time>',
      'give it back by itself when it was held for so long: 90m, 8h, 3d (otherwise vmpool unhold does)',
      secondsOf,
    )
    .action(
      memberOrder<{ for?: number }>(world, (client, vm, { reason = '', for: forSeconds }) =>
        client.hold(vm, { reason, ...(forSeconds === undefined ? {} : { forSeconds }) }),
      ),
    );
