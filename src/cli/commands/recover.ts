import { Command } from 'commander';
import { withJson, withPool } from '../access.js';
import { configOf, withConfig, type ConfigOptions } from '../configured.js';
import { CliError, exitCodes } from '../exit.js';
import type { World } from '../world.js';

interface RecoverOptions extends ConfigOptions {
  readonly fromBackup?: boolean;
  readonly fromCloud?: boolean;
  readonly installation?: string;
  readonly json?: boolean;
}

export const recoverCommand = (world: World): Command =>
  withJson(withPool(withConfig(new Command('recover')), 'it must be named'))
    .description('put a damaged store aside so that the service can start again; nothing is deleted')
    .option('--from-backup', 'put the newest good copy back; every VM is looked at before it is leased')
    .option(
      '--from-cloud',
      "start from nothing; VMs are found by the cloud's metadata and held until explained",
    )
    .option(
      '--installation <uuid>',
      'with --from-cloud, where the state directory is lost as well: whose servers they are (see vmpool doctor)',
    )
    .action(async (options: RecoverOptions) => {
      if ((options.fromBackup === true) === (options.fromCloud === true)) {
        throw new CliError('give either --from-backup or --from-cloud', exitCodes.usage);
      }
      if (options.installation !== undefined && options.fromCloud !== true) {
        throw new CliError('--installation goes with --from-cloud', exitCodes.usage);
      }
      const config = configOf(options, world);
      const [{ bookPath }, { bookFormat }, { installationIs }, { recoverStore }] = await Promise.all([
        import('../../service/open-book.js'),
        import('../../pool/book-schema.js'),
        import('../../service/installation.js'),
        import('../../store/recover.js'),
      ]);
      const { installation } = options;
      const result = await recoverStore({
        path: bookPath(config.stateDir),
        journalSince: bookFormat.journalSince,
        from: options.fromBackup === true ? 'backup' : 'cloud',
        clock: { now: () => Date.now() },
        ...(installation === undefined
          ? {}
          : { before: () => installationIs(config.stateDir, installation) }),
      });
      if (result.kind === 'owned') {
        throw new CliError(`the service runs on this store (pid ${String(result.pid)}): stop it first`);
      }
      if (result.kind === 'no-backup') throw new CliError(result.detail);
      if (options.json === true) {
        world.terminal.out(JSON.stringify(result));
        return;
      }
      world.terminal.out(
        [
          ...result.setAside.map((path) => `Set aside: ${path}`),
          result.restored === null
            ? 'The next start begins with an empty book and holds the VMs that it finds in the cloud.'
            : `Put back: ${result.restored.path}, saved at ${result.restored.savedAt}. The next start looks at every VM before it is leased.`,
        ].join('\n'),
      );
    });
