import { Command } from 'commander';
import { asking, withAccess, withJson, withPool, type AccessOptions } from '../access.js';
import { withReason, type OrderOptions } from '../member-order.js';
import { secondsOf } from '../numbers.js';
import type { World } from '../world.js';

interface PauseOptions extends OrderOptions {
  readonly for?: number;
}

export const pauseCommand = (world: World): Command =>
  withJson(withPool(withAccess(withReason(new Command('pause'), 'told on the status'))))
    .description(
      'make, end and update nothing in the cloud for a time; jobs go on and get what VMs there are',
    )
    .option('-f, --for <time>', 'go on by itself after this: 90m, 8h; 24h at most (otherwise 1h)', secondsOf)
    .action(async (options: PauseOptions) => {
      const { reason = '', for: forSeconds } = options;
      const order = { reason, ...(forSeconds === undefined ? {} : { forSeconds }) };
      const answer = await asking(world, options, (client) => client.pause(order));
      world.terminal.out(options.json === true ? JSON.stringify(answer) : answer.detail);
    });

export const resumeCommand = (world: World): Command =>
  withJson(withPool(withAccess(new Command('resume'))))
    .description('end a pause: changes of the cloud go on')
    .action(async (options: AccessOptions) => {
      const answer = await asking(world, options, (client) => client.resume());
      world.terminal.out(options.json === true ? JSON.stringify(answer) : answer.detail);
    });
