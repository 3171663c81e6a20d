import { Command } from 'commander';
import { asking, withAccess, withJson, type AccessOptions } from '../access.js';
import { CliError } from '../exit.js';
import { storyText } from '../screens/story.js';
import { widthOf } from '../terminal.js';
import type { World } from '../world.js';

/** Lines of a job's story at most: a job that is requeued for days has many starts. */
const most = 2_000;

export const whyCommand = (world: World): Command =>
  withJson(withAccess(new Command('why')))
    .description('the story of one job, from its request to the release of its VM, with the times')
    .argument('<job>', 'id of the job; without its server, as qstat shows it, will do')
    .action(async (job: string, options: AccessOptions) => {
      const { terminal } = world;
      const [history, status] = await asking(
        world,
        options,
        async (client) => [await client.history({ job, most }), await client.status()] as const,
      );
      const isIt = (id: string): boolean => id === job || id.startsWith(`${job}.`);
      const live = [...status.requests, ...status.leases].filter((lease) => isIt(lease.job));
      if (options.json === true) {
        terminal.out(JSON.stringify({ history, live }, null, 2));
        return;
      }
      const text = storyText(job, history, live, Date.parse(status.now), terminal.paint, widthOf(terminal));
      if (text === '')
        throw new CliError(
          `the pool knows nothing of job ${job}: either it has not asked for a VM (qstat -f ${job}, and the log of its worker's mom, tell why), or that is too long ago`,
        );
      terminal.out(text);
    });
