import type { Done } from '../http/api.js';
import type { Client } from '../http/client.js';
import { asking, type AccessOptions } from './access.js';
import type { World } from './world.js';

export interface OrderOptions extends AccessOptions {
  readonly reason?: string;
}

/** The action of `hold`, `unhold` and `retire`: one order on one VM, and what the service says to it. */
export const memberOrder =
  (world: World, order: (client: Client, vm: string, options: OrderOptions) => Promise<Done>) =>
  async (vm: string, options: OrderOptions): Promise<void> => {
    const answer = await asking(world, options, (client) => order(client, vm, options));
    world.terminal.out(options.json === true ? JSON.stringify(answer) : answer.detail);
  };
