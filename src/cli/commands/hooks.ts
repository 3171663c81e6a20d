import { join } from 'node:path';
import { Command, Option } from 'commander';
import { installHooks, type InstallOptions, type InstallResult } from '../../../hooks/install.js';
import { checkService } from '../../../hooks/install/reach.js';
import { repoRoot } from '../../repo-root.js';
import { withJson } from '../access.js';
import { exitCodes } from '../exit.js';
import { findingsText } from '../findings.js';
import type { World } from '../world.js';
import { wholeSeconds } from './request.js';

interface HooksOptions {
  readonly root?: string;
  readonly momHome?: string;
  readonly libDir?: string;
  readonly node?: string;
  readonly prologAlarm?: number;
  readonly serviceUrl?: string;
  readonly schedule?: 'cron' | 'systemd' | 'none';
  readonly json?: boolean;
}

/** Where the build puts the bundled hooks. */
export const bundledHooks = join(repoRoot, 'dist', 'worker');

const withHookOptions = (command: Command): Command =>
  withJson(command)
    .option('--root <dir>', "directory that is the worker's root (otherwise /)")
    .option('--mom-home <dir>', "the mom's home (otherwise /var/spool/torque)")
    .option('--lib-dir <dir>', 'where job starter, sync and node check go (otherwise /usr/lib/vmpool)')
    .option('--node <path>', 'Node on the worker (otherwise the one that runs this)')
    .option('--prolog-alarm <seconds>', '$prologalarm of the mom (otherwise 300)', wholeSeconds)
    .option('--service-url <url>', 'written into a new /etc/vmpool/worker.json')
    .addOption(
      new Option('--schedule <how>', 'what runs the sync every minute').choices(['cron', 'systemd', 'none']),
    );

export const hooksCommand = (world: World): Command => {
  const act = (check: boolean) => async (options: HooksOptions) => {
    const installed = installHooks({ hooksDir: bundledHooks, check, ...installOptions(options) });
    // What an installation lacks is said first; the service is asked once a worker could reach it.
    const result =
      check && installed.ok ? withFinding(installed, await checkService(options.root)) : installed;
    world.terminal.out(
      options.json === true
        ? JSON.stringify(result, null, 2)
        : findingsText(result, 'The hooks are in order.', world),
    );
    if (!result.ok) world.exitWith(exitCodes.notInOrder);
  };
  return new Command('hooks')
    .description("Torque's hooks on this worker")
    .addCommand(
      withHookOptions(new Command('install'))
        .description("put the hooks in place and write the mom's configuration (as root, on the worker)")
        .action(act(false)),
    )
    .addCommand(
      withHookOptions(new Command('check'))
        .description('look at hooks and configuration; change nothing')
        .action(act(true)),
    );
};

const withFinding = (result: InstallResult, finding: InstallResult['findings'][number]): InstallResult => ({
  ok: result.ok && finding.level !== 'error',
  findings: [...result.findings, finding],
});

const installOptions = (options: HooksOptions): Partial<InstallOptions> => ({
  ...(options.root === undefined ? {} : { root: options.root }),
  ...(options.momHome === undefined ? {} : { momHome: options.momHome }),
  ...(options.libDir === undefined ? {} : { libDir: options.libDir }),
  ...(options.node === undefined ? {} : { nodePath: options.node }),
  ...(options.prologAlarm === undefined ? {} : { prologAlarmSeconds: options.prologAlarm }),
  ...(options.serviceUrl === undefined ? {} : { serviceUrl: options.serviceUrl }),
  ...(options.schedule === undefined ? {} : { schedule: options.schedule }),
});
