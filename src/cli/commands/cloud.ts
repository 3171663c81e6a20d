import { once } from 'node:events';
import { dirname, resolve } from 'node:path';
import { Command } from 'commander';
import { newToken } from '../../config/tokens.js';
import { errorText } from '../../store/files.js';
import { withJson } from '../access.js';
import { CliError, exitCodes } from '../exit.js';
import { writeNewFile } from '../new-file.js';
import { untilSignal } from '../until-signal.js';
import type { World } from '../world.js';

interface CloudOptions {
  readonly state: string;
  readonly openrc: string;
  readonly json?: boolean;
}

export const cloudCommand = (world: World): Command =>
  withJson(new Command('cloud'))
    .description(
      'run an OpenStack in one process, with machines to log in to, for trying things out (as root); Ctrl-C ends it and all of its servers',
    )
    .option('-s, --state <dir>', 'directory of its servers; emptied when it ends', 'cloud')
    .option(
      '-o, --openrc <file>',
      'new file for its address and credentials, written once it is up',
      'openrc',
    )
    .addHelpText('after', '\nWith --json a line when it is up, and one when it is gone.')
    .action(async (options: CloudOptions) => {
      const tell = (told: object, text: string): void =>
        world.terminal.out(options.json === true ? JSON.stringify(told) : text);
      const openrc = resolve(options.openrc);
      const { startEmbeddedCloud } = await import('../../embedded/cloud.js');
      const { freeSubnet, openrcOf } = await import('../../demo/place.js');
      // Its servers share this machine's files: they must not see keys and tokens that lie beside the credentials.
      const hidden = dirname(openrc);
      await untilSignal(async (signal) => {
        const stop = AbortSignal.any([signal, world.stop]);
        const cloud = await startEmbeddedCloud({
          state: options.state,
          subnet: freeSubnet(process.pid),
          password: newToken(),
          masked: hidden === '/' ? [] : [hidden],
        }).catch((error: unknown) => {
          throw new CliError(errorText(error), exitCodes.notInOrder);
        });
        try {
          writeNewFile(openrc, openrcOf(cloud.env), 'the file of the credentials');
          tell(
            { up: true, authUrl: cloud.authUrl, openrc },
            `The cloud is up at ${cloud.authUrl}; its credentials: . ${options.openrc}`,
          );
          if (!stop.aborted) await once(stop, 'abort');
        } finally {
          await cloud.stop();
        }
      });
      tell({ up: false }, 'The cloud and its servers are gone.');
    });
