import { Command } from 'commander';
import { withJson, withPool } from '../access.js';
import { configsOf, withConfig, type ConfigOptions } from '../configured.js';
import { exitCodes } from '../exit.js';
import { changesOf, previewAll, type StackPreview } from '../preview.js';
import { count } from '../table.js';
import type { World } from '../world.js';

interface PlanOptions extends ConfigOptions {
  readonly json?: boolean;
}

/** Previews wait for the backend and the plugins, not for the processor alone. */
const atOnce = 4;
const limitMs = 10 * 60_000;

export const planCommand = (world: World): Command =>
  withJson(withPool(withConfig(new Command('plan'))))
    .description(
      "preview the stacks of cells and services: what an update would change in the cloud and on services' hosts",
    )
    .addHelpText('after', '\nExit code 0: nothing would change; 1: something would, or a preview failed.')
    .action(async (options: PlanOptions) => {
      const configs = configsOf(options, world);
      const { plainPulumi } = await import('../plain-pulumi.js');
      const previews: StackPreview[] = [];
      for (const config of configs) {
        const pulumi = await plainPulumi(config, world.env);
        const stacks = [...pulumi.cells(), ...pulumi.services()];
        previews.push(...(await previewAll(pulumi, stacks, atOnce, AbortSignal.timeout(limitMs))));
      }
      if (options.json === true) world.terminal.out(JSON.stringify({ stacks: previews }, null, 2));
      else
        world.terminal.out(
          previews.length === 0
            ? `Pool ${configs.map(({ pool }) => pool).join(', ')} has no cells yet.`
            : text(previews, world),
        );
      const clean = previews.every((preview) => preview.changes !== null && changesOf(preview) === 0);
      world.exitWith(clean ? exitCodes.ok : exitCodes.notInOrder);
    });

const text = (previews: readonly StackPreview[], { terminal: { paint } }: World): string =>
  previews
    .flatMap((preview) => {
      const { stack, changes, lines } = preview;
      const indented = lines.map((line) => `  ${line}`);
      if (changes === null) return [`${paint('red', 'failed')}  ${stack}`, ...indented];
      if (changesOf(preview) === 0) {
        return [`${paint('green', 'no change')}  ${stack} (${count(changes['same'] ?? 0, 'resource')})`];
      }
      return [`${paint('yellow', 'changes')}  ${stack}`, ...indented];
    })
    .join('\n');
