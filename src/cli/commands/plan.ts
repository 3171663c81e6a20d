import { Command } from 'commander';
import { asking, withAccess, withJson, withPool, type AccessOptions } from '../access.js';
import { configsOf, withConfig, type ConfigOptions } from '../configured.js';
import { CliError, exitCodes } from '../exit.js';
import { previewAll, type StackPreview } from '../preview.js';
import { isClean, planText, stacksOf, type Told } from '../screens/plan.js';
import type { World } from '../world.js';

interface PlanOptions extends AccessOptions, ConfigOptions {}

/** Previews wait for the backend and the plugins, not for the processor alone. */
const atOnce = 4;
const limitMs = 10 * 60_000;

export const planCommand = (world: World): Command =>
  withJson(withPool(withAccess(withConfig(new Command('plan')))))
    .description(
      "what is to be done in the cloud and on services' hosts, stack by stack: what the service has in mind for each VM and why, and what pulumi preview says",
    )
    .addHelpText(
      'after',
      '\nExit code 0: nothing would change; 1: something would, or a preview failed.\nWithout a token, or without the service, the previews alone.',
    )
    .action(async (options: PlanOptions) => {
      const configs = configsOf(options, world);
      const { plainPulumi } = await import('../plain-pulumi.js');
      const told = await toldBy(world, options);
      const previews: StackPreview[] = [];
      for (const config of configs) {
        const pulumi = await plainPulumi(config, world.env);
        const stacks = [...pulumi.cells(), ...pulumi.services()];
        previews.push(...(await previewAll(pulumi, stacks, atOnce, AbortSignal.timeout(limitMs))));
      }
      const stacks = stacksOf(previews, told);
      const { terminal } = world;
      if (options.json === true) terminal.out(JSON.stringify(asJson(stacks, told), null, 2));
      else if (stacks.length === 0 && 'plan' in told && told.plan.strays.length === 0)
        terminal.out(
          [
            planText([], told, terminal.paint),
            `Pool ${configs.map(({ pool }) => pool).join(', ')} has no cells yet, and none is planned.`,
          ]
            .filter((part) => part !== '')
            .join('\n'),
        );
      else terminal.out(planText(stacks, told, terminal.paint));
      world.exitWith(isClean(stacks, told) ? exitCodes.ok : exitCodes.notInOrder);
    });

/** What the service has in mind. The previews need no service: without it they are shown alone. */
const toldBy = async (world: World, options: PlanOptions): Promise<Told> => {
  const isAsked = options.url !== undefined || options.tokenFile !== undefined || options.ca !== undefined;
  try {
    return { plan: await asking(world, options, (client) => client.plan()) };
  } catch (error) {
    if (error instanceof CliError && isAsked) throw error;
    return { unknown: error instanceof Error ? error.message : String(error) };
  }
};

const asJson = (stacks: ReturnType<typeof stacksOf>, told: Told): object => ({
  stacks: stacks.map(({ stack, preview, planned }) => ({
    ...(preview ?? { stack, changes: {}, instances: [], lines: [] }),
    planned,
  })),
  pools: 'plan' in told ? told.plan.pools : [],
  strays: 'plan' in told ? told.plan.strays : [],
  unknown: 'plan' in told ? null : told.unknown,
});
