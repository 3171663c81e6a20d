import { Command } from 'commander';
import { quote } from '../../../hooks/src/remote/quote.js';
import { withJson, withPool } from '../access.js';
import { configOf, withConfig, type ConfigOptions } from '../configured.js';
import { CliError, exitCodes } from '../exit.js';
import type { World } from '../world.js';

interface EnvOptions extends ConfigOptions {
  readonly json?: boolean;
}

export const envCommand = (world: World): Command =>
  withJson(withPool(withConfig(new Command('env')), 'it must be named'))
    .description('print what the plain pulumi command line needs to see a stack as the service sees it')
    .argument('[stack]', "a cell (c001), a service (svc-nagios) or its stack; otherwise the pool's own stack")
    .addHelpText(
      'after',
      '\nThe cloud\'s credentials are your own (OS_* or clouds.yaml); none are printed.\nExample: eval "$(vmpool env)" && pulumi preview --stack batch',
    )
    .action(async (wanted: string | undefined, options: EnvOptions) => {
      const config = configOf(options, world);
      const { plainPulumi } = await import('../plain-pulumi.js');
      const pulumi = await plainPulumi(config, world.env);
      const known = [config.pool, ...pulumi.cells(), ...pulumi.services()];
      const stack =
        wanted === undefined
          ? config.pool
          : known.find((name) => [name, name.slice(config.pool.length + 1)].includes(wanted));
      if (stack === undefined) {
        throw new CliError(
          `there is no stack ${wanted ?? ''}; there are: ${known.join(', ')}`,
          exitCodes.usage,
        );
      }
      const plain = pulumi.plain(stack);
      if (options.json === true) {
        world.terminal.out(JSON.stringify({ stack, ...plain, stacks: known }, null, 2));
        return;
      }
      const { PATH: path = '', ...rest } = plain.environment;
      world.terminal.out(
        [
          `# For stack ${stack}, run in ${plain.directory}:`,
          `#   pulumi preview ${plain.arguments.map(quoteWord).join(' ')}`,
          `export PATH=${quote(path)}:"$PATH"`,
          ...Object.entries(rest).map(([name, value]) => `export ${name}=${quote(value)}`),
        ].join('\n'),
      );
    });

const quoteWord = (word: string): string => (/^[\w./:=-]+$/.test(word) ? word : quote(word));
