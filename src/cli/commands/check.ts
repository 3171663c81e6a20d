import { Command } from 'commander';
import { withAccess, withJson, withPool, type AccessOptions } from '../access.js';
import { concludeFindings, findingLine } from '../check/show.js';
import { withConfig, type ConfigOptions } from '../configured.js';
import type { World } from '../world.js';

export const checkCommand = (world: World): Command =>
  withJson(withPool(withAccess(withConfig(new Command('check')))))
    .description('is everything in order? Each line says ok or FAIL, and what to do')
    .action(async (options: ConfigOptions & AccessOptions) => {
      const { runChecks } = await import('../check/run-checks.js');
      const json = options.json === true;
      const findings = await runChecks(options, world, (finding) => {
        if (!json) world.terminal.out(findingLine(finding, world));
      });
      concludeFindings(findings, json, 'Everything is in order.', world);
    });
