import { Command, InvalidArgumentError } from 'commander';
import { asking, withAccess, withJson, withPool, type AccessOptions } from '../access.js';
import { liveScreen, onQuit } from '../live.js';
import { topLine, topLines, type Frame } from '../screens/top.js';
import { untilSignal } from '../until-signal.js';
import { watchPool } from '../watch-pool.js';
import type { World } from '../world.js';

interface TopOptions extends AccessOptions {
  readonly every: number;
}

const everySeconds = (text: string): number => {
  const seconds = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || seconds < 0.5 || seconds > 3600)
    throw new InvalidArgumentError('give seconds from 0.5 to 3600');
  return seconds;
};

export const topCommand = (world: World): Command =>
  withJson(withPool(withAccess(new Command('top'))))
    .description('the pool as it is now, all the time: VMs, who waits, what happens; q ends')
    .option('-e, --every <seconds>', 'look so often', everySeconds, 2)
    .addHelpText('after', '\nWhere it is not shown on a terminal: a line a look, with --json the status.')
    .action(async (options: TopOptions) => {
      const { terminal } = world;
      await asking(world, options, async (client) => {
        const quit = new AbortController();
        const live = terminal.interactive && options.json !== true;
        const screen = live ? liveScreen(terminal) : null;
        let last: Frame | null = null;
        const draw = (): void => {
          const { columns, rows } = terminal.size();
          if (last !== null) screen?.show(topLines(last, terminal.paint, columns, rows));
        };
        const givenBack = live ? [onQuit(process.stdin, () => quit.abort()), terminal.onResize(draw)] : [];
        try {
          const { code } = await untilSignal((signal) =>
            watchPool(
              client,
              (frame) => {
                last = frame;
                if (screen !== null) draw();
                else terminal.out(options.json === true ? JSON.stringify(frame.status) : topLine(frame));
              },
              options.every * 1000,
              AbortSignal.any([signal, quit.signal, world.stop]),
            ),
          );
          if (code !== null) world.exitWith(code);
        } finally {
          for (const giveBack of givenBack) giveBack();
          screen?.close();
        }
      });
    });
