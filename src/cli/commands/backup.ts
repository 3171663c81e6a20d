import { existsSync, statSync } from 'node:fs';
import { Command } from 'commander';
import { withJson, withPool } from '../access.js';
import { configsOf, withConfig, type ConfigOptions } from '../configured.js';
import { CliError, exitCodes } from '../exit.js';
import type { Made } from '../../backup/make.js';
import type { Book } from '../../pool/book.js';
import { count, howLong, table } from '../table.js';
import type { World } from '../world.js';
import { wholeNumber } from '../numbers.js';

interface BackupOptions extends ConfigOptions {
  readonly keep?: number;
  readonly verify?: string;
  readonly json?: boolean;
}

export const backupCommand = (world: World): Command =>
  withJson(withPool(withConfig(new Command('backup'))))
    .description(
      'copy what the service must not lose into one file; beside the running service or without one',
    )
    .argument('[target]', 'directory (the backup gets a name of its own there) or a new file')
    .option(
      '--keep <number>',
      'then remove all but so many backups of this pool from the directory',
      wholeNumber,
    )
    .option('--verify <file>', 'make none: read that backup as a restore would, and say what is in it')
    .action(async (target: string | undefined, options: BackupOptions) => {
      if ((target === undefined) === (options.verify === undefined)) {
        throw new CliError('give either a target or --verify FILE', exitCodes.usage);
      }
      const { out, paint } = { out: world.terminal.out.bind(world.terminal), paint: world.terminal.paint };
      if (options.verify !== undefined) {
        const { verifyBackup } = await import('../../backup/verify.js');
        const { manifest, book, envelope } = await verifyBackup(options.verify);
        if (options.json === true) {
          out(JSON.stringify({ ok: true, path: options.verify, manifest, counts: countsOf(book) }, null, 2));
          return;
        }
        const age = howLong(Date.now() - Date.parse(manifest.takenAt));
        out(
          [
            `${options.verify} is whole: pool ${manifest.pool}, taken ${age} ago (${manifest.takenAt}).`,
            `Its book, saved at ${envelope.savedAt}, has ${words(countsOf(book))}.`,
            '',
            table(
              [{ title: 'FILE' }, { title: 'BYTES', align: 'right' }],
              manifest.files.map(({ name, size }) => [name, String(size)]),
              paint,
            ),
          ].join('\n'),
        );
        return;
      }
      const configs = configsOf(options, world);
      const into = target ?? '';
      if (configs.length > 1 && !(existsSync(into) && statSync(into).isDirectory()))
        throw new CliError(
          `there are several pools, each with a backup of its own: give a directory that is there, or one of them with --pool`,
          exitCodes.usage,
        );
      const { makeBackup } = await import('../../backup/make.js');
      const { placeOf } = await import('../../backup/place.js');
      const all: Backup[] = [];
      for (const config of configs) {
        const place = placeOf(config);
        const made = await makeBackup(place, { target: into, keep: options.keep ?? null, now: Date.now() });
        all.push({ made, elsewhere: place.backend === null ? config.engine.backend : null });
        if (options.json !== true) out(backupText(all.at(-1) as Backup));
      }
      if (options.json !== true) return;
      const told = all.map(({ made: { book, ...rest } }) => ({ ...rest, counts: countsOf(book) }));
      out(JSON.stringify(told.length === 1 ? told[0] : { backups: told }, null, 2));
    });

interface Backup {
  readonly made: Made;
  /** The backend that has the stacks' states, where they are not in the backup. */
  readonly elsewhere: string | null;
}

const backupText = ({ made, elsewhere }: Backup): string =>
  [
    `${made.path}: ${count(made.bytes, 'byte')}, mode 0600, read again and whole.`,
    `It holds the book (${words(countsOf(made.book))}), ${count(made.manifest.files.length - 1, 'more file')} and the secret behind leases and markers: keep it as you keep keys.`,
    ...(elsewhere === null
      ? []
      : [`Not in it: the stacks' states. ${elsewhere} has to keep copies of its own.`]),
    'Not in it: the configuration and the files that it names (passphrase, tokens, keys, credentials).',
    ...made.removed.map((path) => `Removed: ${path}`),
  ].join('\n');

interface Counts {
  readonly vms: number;
  readonly leases: number;
  readonly requests: number;
}

const countsOf = (book: Pick<Book, 'members' | 'leases' | 'requests'>): Counts => ({
  vms: book.members.size,
  leases: book.leases.size,
  requests: book.requests.size,
});

const words = ({ vms, leases, requests }: Counts): string =>
  `${count(vms, 'VM')}, ${count(leases, 'lease')}, ${count(requests, 'waiting request')}`;
