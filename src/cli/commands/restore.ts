import { Command } from 'commander';
import { withJson, withPool } from '../access.js';
import { configOf, withConfig, type ConfigOptions } from '../configured.js';
import { count, howLong, table } from '../table.js';
import type { Paint } from '../terminal.js';
import type { World } from '../world.js';
import type { Restored, Step } from '../../backup/restore.js';

interface RestoreOptions extends ConfigOptions {
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

export const restoreCommand = (world: World): Command =>
  withJson(withPool(withConfig(new Command('restore')), 'it must be named'))
    .description('put a backup back; refused while a service runs, nothing is deleted')
    .argument('<file>', 'the backup')
    .option('-n, --dry-run', 'only say what would be done')
    .action(async (file: string, options: RestoreOptions) => {
      const config = configOf(options, world);
      const { restoreBackup } = await import('../../backup/restore.js');
      const { placeOf } = await import('../../backup/place.js');
      const restored = await restoreBackup(placeOf(config), {
        file,
        dryRun: options.dryRun === true,
        clock: { now: () => Date.now() },
      });
      if (options.json === true) {
        const { book: _book, ...rest } = restored;
        world.terminal.out(JSON.stringify(rest, null, 2));
        return;
      }
      world.terminal.out(text(restored, world.terminal.paint));
    });

const text = ({ manifest, book, steps, setAside, done }: Restored, paint: Paint): string => {
  const age = howLong(Date.now() - Date.parse(manifest.takenAt));
  const held = count(book.members.size, 'VM');
  return [
    `Backup of pool ${manifest.pool}, taken ${age} ago (${manifest.takenAt}).`,
    '',
    table(
      [{ title: 'FILE' }, { title: done ? 'DONE' : 'WOULD BE' }, { title: 'WHY', most: 90 }],
      steps.map((step) => [step.name, paint(colourOf(step), step.action), step.why]),
      paint,
    ),
    '',
    ...setAside.map((path) => `Set aside: ${path}`),
    done
      ? `The next start looks at every VM before it is used: ${held} of the backup, and all that the cloud has besides, stay as they are until their markers were read and every worker has synced. No job is ended.`
      : 'Nothing was changed.',
  ].join('\n');
};

const colourOf = ({ action }: Step): 'green' | 'yellow' | 'dim' => {
  switch (action) {
    case 'put':
    case 'replaced':
      return 'green';
    case 'kept':
    case 'left out':
      return 'yellow';
    case 'same':
      return 'dim';
  }
};
