import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Command } from 'commander';
import { quote } from '../../../hooks/src/remote/quote.js';
import { personalPulumiHome } from '../../engine/home.js';
import { locatedEngine } from '../../engine/located.js';
import { repoRoot } from '../../repo-root.js';
import { withJson } from '../access.js';
import { CliError, exitCodes } from '../exit.js';
import type { World } from '../world.js';

interface ShowOptions {
  readonly env?: boolean;
  readonly json?: boolean;
}

interface InstallOptions {
  readonly system?: boolean;
  readonly prune?: boolean;
  readonly json?: boolean;
}

export const engineCommand = (world: World): Command =>
  new Command('engine')
    .description('the Pulumi engine of this installation')
    .addCommand(
      withJson(new Command('install'))
        .description(
          'put it in place: from this machine, the official download or Go modules, whichever comes first',
        )
        .option('--system', 'for every account of this machine, below /usr/lib/vmpool (as root)')
        .option('--prune', 'then delete engines that are no longer used')
        .action(async ({ system = false, prune = false, json = false }: InstallOptions) => {
          if (system && process.getuid?.() !== 0)
            throw new CliError("/usr/lib/vmpool is root's: run this as root", exitCodes.usage);
          const child = spawn(
            process.execPath,
            [
              join(repoRoot, 'scripts', 'engine', 'install.mjs'),
              ...(system ? ['--system'] : []),
              ...(prune ? ['--prune'] : []),
              ...(json ? ['--json'] : []),
            ],
            // Progress goes to standard error; on standard output stands nothing but the outcome.
            { stdio: ['inherit', json ? 'pipe' : 'inherit', 'inherit'], env: { ...world.env } },
          );
          let outcome = '';
          child.stdout?.setEncoding('utf8').on('data', (part: string) => (outcome += part));
          // It hears the terminal's signals itself; those that reach this process alone are passed on.
          const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
          process.on('SIGTERM', pass).on('SIGINT', pass);
          try {
            const [code] = (await once(child, 'close')) as [number | null];
            if (code !== 0)
              throw new CliError('the engine is not in place; why stands above', exitCodes.notInOrder);
            if (json) world.terminal.out(outcome.trimEnd());
          } finally {
            process.off('SIGTERM', pass).off('SIGINT', pass);
          }
        }),
    )
    .addCommand(
      withJson(new Command('show'))
        .description('where it is and of which versions')
        .option('--env', 'print what a shell needs to run this pulumi: eval "$(vmpool engine show --env)"')
        .action(async (options: ShowOptions) => {
          const engine = await locatedEngine().catch((error: unknown) => {
            throw new CliError(error instanceof Error ? error.message : String(error), exitCodes.notInOrder);
          });
          const { terminal, env } = world;
          if (options.json === true) terminal.out(JSON.stringify(engine, null, 2));
          else if (options.env === true)
            terminal.out(
              [
                `export PATH=${quote(engine.binDir)}:"$PATH"`,
                `export PULUMI_HOME=${quote(personalPulumiHome(engine.pulumiHome, env))}`,
                'export PULUMI_SKIP_UPDATE_CHECK=true',
              ].join('\n'),
            );
          else
            terminal.out(
              [
                `pulumi            ${engine.pulumi}`,
                ...Object.entries(engine.versions).map(([name, version]) => `${name.padEnd(16)}  ${version}`),
              ].join('\n'),
            );
        }),
    );
