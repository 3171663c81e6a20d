import { Command } from 'commander';
import { withAccess, withJson, withPool } from '../access.js';
import { concludeFindings, findingLine } from '../check/show.js';
import { withConfig } from '../configured.js';
import type { PolicyOptions } from '../policy/run-policy.js';
import type { World } from '../world.js';

export const policyCommand = (world: World): Command =>
  withJson(withPool(withAccess(withConfig(new Command('policy'))), 'it must be named'))
    .description('may this shape be brought up? The rules that a pipeline holds a stack config to')
    .argument('<file>', "the pool stack's config file, Pulumi.<pool>.yaml")
    .option('--cloud <name>', 'name in clouds.yaml (otherwise OS_* of the environment)')
    .action(async (file: string, options: PolicyOptions) => {
      const { runPolicy } = await import('../policy/run-policy.js');
      const json = options.json === true;
      const findings = await runPolicy(file, options, world);
      if (!json) for (const finding of findings) world.terminal.out(findingLine(finding, world));
      concludeFindings(findings, json, 'The shape keeps every rule that could be looked at here.', world);
    });
