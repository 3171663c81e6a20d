import { Command } from 'commander';
import { withAccess, withJson, type AccessOptions } from '../access.js';
import { withConfig, type ConfigOptions } from '../configured.js';
import { exitCodes } from '../exit.js';
import type { World } from '../world.js';

export const checkCommand = (world: World): Command =>
  withJson(withAccess(withConfig(new Command('check'))))
    .description('is everything in order? Each line says ok or FAIL, and what to do')
    .action(async (options: ConfigOptions & AccessOptions) => {
      const { runChecks } = await import('../check/run-checks.js');
      const { paint } = world.terminal;
      const label = { ok: paint('green', 'ok  '), note: paint('yellow', 'note'), fail: paint('red', 'FAIL') };
      const findings = await runChecks(options, world, (finding) => {
        if (options.json !== true) {
          world.terminal.out(
            `${label[finding.result]}  ${finding.what.padEnd(12)}  ${finding.text.replaceAll('\n', '\n' + ' '.repeat(20))}`,
          );
        }
      });
      const failed = findings.filter(({ result }) => result === 'fail').length;
      if (options.json === true) world.terminal.out(JSON.stringify({ ok: failed === 0, findings }, null, 2));
      else
        world.terminal.out(
          failed === 0
            ? '\nEverything is in order.'
            : `\n${String(failed)} of ${String(findings.length)} not in order.`,
        );
      world.exitWith(failed === 0 ? exitCodes.ok : exitCodes.notInOrder);
    });
