import { Command } from 'commander';
import { withJson } from '../access.js';
import { configOf, withConfig, type ConfigOptions } from '../configured.js';
import { CliError, exitCodes } from '../exit.js';
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
  withJson(withConfig(new Command('backup')))
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
      const config = configOf(options, world);
      const { makeBackup } = await import('../../backup/make.js');
      const { placeOf } = await import('../../backup/place.js');
      const place = placeOf(config);
      const made = await makeBackup(place, {
        target: target ?? '',
        keep: options.keep ?? null,
        now: Date.now(),
      });
      if (options.json === true) {
        const { book, ...rest } = made;
        out(JSON.stringify({ ...rest, counts: countsOf(book) }, null, 2));
        return;
      }
      out(
        [
          `${made.path}: ${count(made.bytes, 'byte')}, mode 0600, read again and whole.`,
          `It holds the book (${words(countsOf(made.book))}), ${count(made.manifest.files.length - 1, 'more file')} and the secret behind leases and markers: keep it as you keep keys.`,
          ...(place.backend === null
            ? [`Not in it: the stacks' states. ${config.engine.backend} has to keep copies of its own.`]
            : []),
          'Not in it: the configuration and the files that it names (passphrase, tokens, keys, credentials).',
          ...made.removed.map((path) => `Removed: ${path}`),
        ].join('\n'),
      );
    });

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
