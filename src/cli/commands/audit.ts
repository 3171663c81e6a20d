import { Command } from 'commander';
import { asking, withAccess, withJson, withPool, type AccessOptions } from '../access.js';
import { audit, type Audit, type AuditedStack } from '../audit/audit.js';
import { configsOf, withConfig, type ConfigOptions } from '../configured.js';
import { CliError, exitCodes } from '../exit.js';
import { secondsOf } from '../numbers.js';
import { untilSignal } from '../until-signal.js';
import type { World } from '../world.js';

interface AuditOptions extends AccessOptions, ConfigOptions {
  readonly for: number;
  readonly wait: number;
}

export const auditCommand = (world: World): Command =>
  withJson(withPool(withAccess(withConfig(new Command('audit')))))
    .description(
      'is everything in the cloud as the stacks say? Pauses changes, previews every stack with a refresh, goes on',
    )
    .argument(
      '[file]',
      "hold the pool's stack against this Pulumi.<pool>.yaml (otherwise against its last update)",
    )
    .option('-f, --for <time>', 'pause changes for so long at most', secondsOf, 3_600)
    .option('-w, --wait <time>', 'wait so long for updates that run already', secondsOf, 600)
    .addHelpText(
      'after',
      '\nExit code 0: all as expected; 1: something differs or could not be looked at. Changes go on afterwards,\nalso after Ctrl-C or a failure.',
    )
    .action(async (file: string | undefined, options: AuditOptions) => {
      const { terminal } = world;
      if (options.for < 60 || options.for > 86_400)
        throw new CliError('--for: give a time from 60s to 24h', exitCodes.usage);
      const configs = configsOf(options, world);
      if (configs.length > 1 && file !== undefined)
        throw new CliError('there are several pools: say with --pool whose the file is', exitCodes.usage);
      const { plainPulumi } = await import('../plain-pulumi.js');
      const { auditPool, auditStack } = await import('../audit/stacks.js');
      const all: Audit[] = [];
      let code: number | null = null;
      for (const config of configs) {
        const pulumi = await plainPulumi(config, world.env);
        const own = configs.length === 1 ? options : { ...options, pool: config.pool };
        const ended = await asking(world, own, (client) =>
          untilSignal((signal) =>
            audit({
              client,
              stacks: [
                { stack: config.pool, look: (stop) => auditPool(pulumi, file ?? null, stop) },
                ...[...pulumi.cells(), ...pulumi.services()].map((stack) => ({
                  stack,
                  look: (stop: AbortSignal) => auditStack(pulumi, stack, stop),
                })),
              ],
              forSeconds: options.for,
              waitMs: options.wait * 1000,
              tell: (text) => terminal.err(configs.length === 1 ? text : `${config.pool}: ${text}`),
              signal,
            }),
          ),
        );
        all.push(ended.value);
        code = ended.code;
        if (code !== null) break;
      }
      const found: Audit = {
        stacks: all.flatMap(({ stacks }) => stacks),
        problems: all.flatMap(({ problems }) => problems),
      };
      if (code !== null) {
        for (const problem of found.problems) terminal.err(`vmpool: ${problem}`);
        world.exitWith(code);
        return;
      }
      terminal.out(options.json === true ? JSON.stringify(found, null, 2) : auditText(found, world));
      const clean =
        found.problems.length === 0 && found.stacks.every(({ result }) => result === 'as expected');
      world.exitWith(clean ? exitCodes.ok : exitCodes.notInOrder);
    });

/** One line for each stack, and below it what differs. */
export const auditText = (
  { stacks, problems }: Audit,
  { terminal: { paint } }: Pick<World, 'terminal'>,
): string => {
  const words: Readonly<Record<AuditedStack['result'], string>> = {
    'as expected': paint('green', 'ok     '),
    differs: paint('yellow', 'DIFFERS'),
    failed: paint('red', 'FAILED '),
  };
  const not = stacks.filter(({ result }) => result !== 'as expected').length;
  return [
    ...stacks.flatMap(({ stack, result, lines }) => [
      `${words[result]}  ${stack}`,
      ...lines.map((line) => `         ${line}`),
    ]),
    ...problems.map((problem) => `${paint('red', 'problem')}  ${problem}`),
    not === 0
      ? `${String(stacks.length)} stacks looked at: the cloud is as they say.`
      : `${String(not)} of ${String(stacks.length)} stacks are not as expected.`,
  ].join('\n');
};
