import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { installService } from '../../install/install-service.js';
import { repoRoot } from '../../repo-root.js';
import { withJson } from '../access.js';
import { exitCodes } from '../exit.js';
import { findingsText } from '../findings.js';
import { wholeNumber } from '../numbers.js';
import type { World } from '../world.js';

interface ServiceOptions {
  readonly root: string;
  readonly config: string;
  readonly stateDir: string;
  readonly backups: string;
  readonly keep: number;
  readonly log: 'journal' | 'file';
  readonly node?: string;
  readonly json?: boolean;
}

const withServiceOptions = (command: Command): Command =>
  withJson(command)
    .option('--root <dir>', "directory that is the machine's root", '/')
    .option('--config <file>', 'configuration of the service', '/etc/vmpool/vmpool.yaml')
    .option('--state-dir <dir>', 'stateDir of the configuration', '/var/lib/vmpool')
    .option('--backups <dir>', 'where the nightly backup goes', '/var/backups/vmpool')
    .option('--keep <number>', 'backups that are kept', wholeNumber, 14)
    .addOption(
      new Option('--log <where>', 'journal, or /var/log/vmpool with logrotate')
        .choices(['journal', 'file'])
        .default('journal'),
    )
    .option('--node <path>', 'Node on that machine (otherwise the one that runs this)');

export const serviceCommand = (world: World): Command => {
  const act = (check: boolean) => (options: ServiceOptions) => {
    const result = installService({
      root: options.root,
      check,
      layout: {
        node: options.node ?? process.execPath,
        program: realpathSync(join(repoRoot, 'dist', 'src', 'cli', 'main.js')),
        configFile: options.config,
        stateDir: options.stateDir,
        backupDir: options.backups,
        keepBackups: options.keep,
        log: options.log,
      },
    });
    world.terminal.out(
      options.json === true
        ? JSON.stringify(result, null, 2)
        : findingsText(
            result,
            check
              ? 'The installation is in order.'
              : 'Next: vmpool check, then systemctl enable --now vmpool.service vmpool-backup.timer vmpool-audit.timer',
            world,
          ),
    );
    if (!result.ok) world.exitWith(exitCodes.notInOrder);
  };
  return new Command('service')
    .description('the lease service as a unit of systemd on this machine')
    .addCommand(
      withServiceOptions(new Command('install'))
        .description('put units, account and directories in place; starts nothing (as root)')
        .action(act(false)),
    )
    .addCommand(
      withServiceOptions(new Command('check'))
        .description('look at units and account; change nothing')
        .action(act(true)),
    );
};
