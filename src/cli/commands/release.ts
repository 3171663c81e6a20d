import { Command } from 'commander';
import { asking, withAccess, withJson, type AccessOptions } from '../access.js';
import { CliError, exitCodes } from '../exit.js';
import type { World } from '../world.js';

interface ReleaseOptions extends AccessOptions {
  readonly job?: string;
}

export const releaseCommand = (world: World): Command =>
  withJson(withAccess(new Command('release')))
    .description(
      'end a lease or request: by its id, or with --job everything that a job of your worker holds',
    )
    .argument('[lease]', 'id of the lease, as vmpool request printed it')
    .option('-j, --job <id>', 'the job, with the token of its worker')
    .action(async (lease: string | undefined, options: ReleaseOptions) => {
      const { job } = options;
      if ((lease === undefined) === (job === undefined)) {
        throw new CliError('give either the id of a lease or --job', exitCodes.usage);
      }
      const answer = await asking(world, options, (client) =>
        job === undefined
          ? client.releaseLease(lease ?? '')
          : client.release({ job, reason: 'released by hand' }),
      );
      world.terminal.out(
        options.json === true
          ? JSON.stringify(answer)
          : answer.outcome === 'ended'
            ? `Ended: ${answer.detail}.`
            : `There was nothing to end: ${answer.detail}.`,
      );
    });
