import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { summaryStackName } from '../../stacks/summary.js';
import type { Config } from '../config/load.js';
import { directoryOfBackend } from '../engine/backend.js';
import { stacksDirectory } from '../engine/environment.js';
import { projectName } from '../engine/options.js';
import { bookPath } from '../service/open-book.js';

/** Where the service keeps what a backup holds. */
export interface Place {
  readonly pool: string;
  readonly stateDir: string;
  readonly capabilitySecretFile: string;
  /** Directory of a `file://` backend; null where the stacks' states are kept by somebody else. */
  readonly backend: string | null;
}

export const placeOf = (
  config: Pick<Config, 'pool' | 'stateDir' | 'capabilitySecretFile'> & {
    readonly engine: Pick<Config['engine'], 'backend'>;
  },
): Place => ({
  pool: config.pool,
  stateDir: config.stateDir,
  capabilitySecretFile: config.capabilitySecretFile,
  backend: directoryOfBackend(config.engine.backend),
});

/** Names of the files in a backup. The book's own is read and put back by the store, not copied. */
export const bookEntry = 'book.json';
export const installationEntry = 'installation';
export const secretEntry = 'capability.key';
const backendMark = 'backend/meta.yaml';

const stackWord = '[a-z][a-z0-9-]{0,80}';
const configPattern = new RegExp(`^stacks/(Pulumi\\.${stackWord}\\.yaml)$`);
const lostPattern = new RegExp(`^stacks/(${stackWord}\\.lost\\.json)$`);
const statePattern = new RegExp(`^backend/(${stackWord}\\.json)$`);

/** What a file of a backup is, for people; null for what no backup has. */
export const kindOfEntry = (
  name: string,
):
  'book' | 'installation' | 'secret' | 'stack config' | 'lost creates' | 'stack state' | 'backend' | null => {
  if (name === bookEntry) return 'book';
  if (name === installationEntry) return 'installation';
  if (name === secretEntry) return 'secret';
  if (name === backendMark) return 'backend';
  if (configPattern.test(name)) return 'stack config';
  if (lostPattern.test(name)) return 'lost creates';
  return statePattern.test(name) ? 'stack state' : null;
};

/** Where a file of a backup belongs at that place; null where it has no place there (a state, with another backend). */
export const pathOfEntry = (place: Place, name: string): string | null => {
  if (name === bookEntry) return bookPath(place.stateDir);
  if (name === installationEntry) return join(place.stateDir, 'installation');
  if (name === secretEntry) return place.capabilitySecretFile;
  if (name === backendMark)
    return place.backend === null ? null : join(place.backend, '.pulumi', 'meta.yaml');
  const stack = configPattern.exec(name)?.[1] ?? lostPattern.exec(name)?.[1];
  if (stack !== undefined) return join(stacksDirectory(place.stateDir), stack);
  const state = statePattern.exec(name)?.[1];
  return state === undefined || place.backend === null ? null : join(statesDirectory(place.backend), state);
};

const statesDirectory = (backend: string): string => join(backend, '.pulumi', 'stacks', projectName);

/** The files that are there now, states first and the book last: it then knows at least what the states hold. */
export const entriesAt = (place: Place): readonly string[] => {
  const ours = new RegExp(`^${place.pool}(-c\\d+)?$|^${summaryStackName(place.pool)}$`);
  const named = (directory: string, pattern: RegExp): readonly string[] =>
    existsSync(directory)
      ? readdirSync(directory)
          .filter((name) => ours.test(pattern.exec(name)?.[1] ?? ''))
          .sort()
      : [];
  const stacks = stacksDirectory(place.stateDir);
  const states = place.backend === null ? [] : named(statesDirectory(place.backend), /^(.+)\.json$/);
  return [
    ...[backendMark].filter((name) => existsSync(pathOfEntry(place, name) ?? '')),
    ...states.map((name) => `backend/${name}`),
    ...named(stacks, /^Pulumi\.(.+)\.yaml$/).map((name) => `stacks/${name}`),
    ...named(stacks, /^(.+)\.lost\.json$/).map((name) => `stacks/${name}`),
    ...[installationEntry, secretEntry].filter((name) => existsSync(pathOfEntry(place, name) ?? '')),
    bookEntry,
  ];
};
