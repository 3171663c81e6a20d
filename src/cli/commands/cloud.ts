import { once } from 'node:events';
import { dirname, resolve } from 'node:path';
import { Command } from 'commander';
import { newToken } from '../../config/tokens.js';
import { errorText } from '../../store/files.js';
import { CliError, exitCodes } from '../exit.js';
import { writeNewFile } from '../new-file.js';
import type { World } from '../world.js';

interface CloudOptions {
  readonly state: string;
  readonly openrc: string;
}

export const cloudCommand = (world: World): Command =>
  new Command('cloud')
    .description(
      'run an OpenStack in one process, with machines to log in to, for trying things out (as root); Ctrl-C ends it and all of its servers',
    )
    .option('-s, --state <dir>', 'directory of its servers; emptied when it ends', 'cloud')
    .option(
      '-o, --openrc <file>',
      'new file for its address and credentials, written once it is up',
      'openrc',
    )
    .action(async (options: CloudOptions) => {
      const openrc = resolve(options.openrc);
      const { startEmbeddedCloud } = await import('../../embedded/cloud.js');
      const { freeSubnet, openrcOf } = await import('../../demo/place.js');
      const stopped = stopAsked(world.stop);
      // Its servers share this machine's files: they must not see keys and tokens that lie beside the credentials.
      const hidden = dirname(openrc);
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
        world.terminal.out(`The cloud is up at ${cloud.authUrl}; its credentials: . ${options.openrc}`);
        await stopped;
      } finally {
        await cloud.stop();
      }
      world.terminal.out('The cloud and its servers are gone.');
    });

/** SIGINT and SIGTERM, until then; and what ends any command that goes on and on. */
const stopAsked = async (stop: AbortSignal): Promise<void> => {
  const over = new AbortController();
  const signals = ['SIGINT', 'SIGTERM'].map((name) => once(process, name, { signal: over.signal }));
  const aborted = stop.aborted ? Promise.resolve() : once(stop, 'abort', { signal: over.signal });
  try {
    await Promise.race([...signals, aborted]);
  } finally {
    over.abort();
    await Promise.allSettled([...signals, aborted]);
  }
};
