import { Command, Option } from 'commander';
import { asking, withAccess, withJson, withPool, type AccessOptions } from '../access.js';
import { CliError, exitCodes } from '../exit.js';
import { followEvents } from '../follow.js';
import { wholeNumber } from '../numbers.js';
import { eventLine, type Told } from '../screens/events.js';
import { widthOf } from '../terminal.js';
import { decisions } from '../../pool/reasons.js';
import { isDecision, isJob } from '../../store/history-read.js';
import type { World } from '../world.js';

interface EventsOptions extends AccessOptions {
  readonly follow?: boolean;
  readonly history?: boolean;
  readonly vm?: string;
  readonly job?: string;
  readonly decision?: string;
  readonly lines: number;
}

/** As the service matches in its history. */
const isOf = (event: Told, { vm, job, decision }: EventsOptions): boolean =>
  isDecision(event, decision) &&
  (vm === undefined || event.vm === vm) &&
  (job === undefined || isJob(event, job));

export const eventsCommand = (world: World): Command =>
  withJson(withPool(withAccess(new Command('events'))))
    .description('what happened in the pool, the newest last')
    .option('-f, --follow', 'go on telling what happens, until Ctrl-C')
    .option(
      '--history',
      'from the history files, which reach further back than what the service has in memory',
    )
    .option('--vm <vm>', 'only of this VM')
    .option('--job <id>', 'only of this job')
    .addOption(
      new Option('--decision <kind>', 'only decisions of that kind about VMs, each with its reason').choices([
        'any',
        ...decisions,
      ]),
    )
    .option('-n, --lines <number>', 'so many at most', wholeNumber, 50)
    .addHelpText('after', '\nWith --json one event a line. --follow waits for a service that restarts.')
    .action(async (options: EventsOptions) => {
      const { terminal } = world;
      if (options.follow === true && options.history === true)
        throw new CliError('give either --follow or --history', exitCodes.usage);
      const show = (events: readonly Told[]): void => {
        for (const event of events)
          terminal.out(
            options.json === true
              ? JSON.stringify(event)
              : eventLine(event, terminal.paint, widthOf(terminal), options.history === true),
          );
      };
      await asking(world, options, async (client) => {
        if (options.history === true) {
          const { vm, job, decision } = options;
          const most = Math.min(options.lines, 9_999);
          show(
            await client.history({
              ...(vm === undefined ? {} : { vm }),
              ...(job === undefined ? {} : { job }),
              ...(decision === undefined ? {} : { decision }),
              most,
            }),
          );
          return;
        }
        const wanted = (events: readonly Told[]): Told[] =>
          events.filter((event) => isOf(event, options)).slice(-options.lines);
        if (options.follow !== true) {
          show(wanted(await client.events(0)));
          return;
        }
        const warn = (text: string): void => terminal.err(`vmpool: ${text}`);
        await followEvents(client, (events) => show(wanted(events)), warn, world.stop);
      });
    });
