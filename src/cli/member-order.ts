import type { Command } from 'commander';
import type { Done } from '../http/api.js';
import type { Client } from '../http/client.js';
import { asking, type AccessOptions } from './access.js';
import type { World } from './world.js';

export interface OrderOptions extends AccessOptions {
  readonly reason?: string;
}

/** Adds the reason that is told with an order. */
export const withReason = (command: Command, becomes: string): Command =>
  command.option('-r, --reason <text>', becomes, 'ordered by an operator');

/** The action of `hold`, `drain`, `retire` and their like: one order on one VM, and what the service says to it. */
export const memberOrder =
  <More extends object = object>(
    world: World,
    order: (client: Client, vm: string, options: OrderOptions & More) => Promise<Done>,
  ) =>
  async (vm: string, options: OrderOptions & More): Promise<void> => {
    const answer = await asking(world, options, (client) => order(client, vm, options));
    world.terminal.out(options.json === true ? JSON.stringify(answer) : answer.detail);
  };
