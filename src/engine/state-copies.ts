import { existsSync, linkSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomically } from './atomic-file.js';
import { parseCheckpointFile, type Deployment } from './deployment.js';
import { projectName } from './options.js';

/** A copy of a stack's state that can be read, in a `file://` backend. */
export interface WholeCopy {
  readonly path: string;
  readonly text: string;
  readonly deployment: Deployment;
}

/** Where Pulumi keeps a stack's state in a `file://` backend. */
export const statePath = (backend: string, stack: string): string =>
  join(backend, '.pulumi', 'stacks', projectName, `${stack}.json`);

/** Pulumi's note of how the backend is laid out: with it, stacks lie in a folder for each project. */
export const metaPath = (backend: string): string => join(backend, '.pulumi', 'meta.yaml');

/** Where it keeps a copy for each update; the engine leaves the last few. */
export const historyDirectory = (backend: string, stack: string): string =>
  join(backend, '.pulumi', 'history', projectName, stack);

const checkpointName = /-(\d+)\.checkpoint\.json$/;

/**
 * The newest that can be read of Pulumi's copies: the state before its last change (`.json.bak`), which it writes with
 * every step, and one for each update. Told by the time that Pulumi wrote into them.
 */
export const newestWholeCopy = (backend: string, stack: string): WholeCopy | null => {
  const history = historyDirectory(backend, stack);
  const names = existsSync(history) ? readdirSync(history).filter((name) => checkpointName.test(name)) : [];
  // Of two that say the same time the later update comes first.
  const paths = [
    `${statePath(backend, stack)}.bak`,
    ...names.sort((a, b) => (stampOf(a) < stampOf(b) ? 1 : -1)).map((name) => join(history, name)),
  ];
  return paths
    .flatMap(wholeCopy)
    .reduce<WholeCopy | null>((best, copy) => (best === null || writtenAt(copy) > writtenAt(best) ? copy : best), null);
};

const stampOf = (name: string): bigint => BigInt(checkpointName.exec(name)?.[1] ?? 0);

const wholeCopy = (path: string): readonly WholeCopy[] => {
  if (!existsSync(path)) return [];
  const text = readFileSync(path, 'utf8');
  const parsed = parseCheckpointFile(text);
  return parsed.ok ? [{ path, text, deployment: parsed.state.deployment }] : [];
};

const writtenAt = ({ deployment }: WholeCopy): number => {
  const at = Date.parse(deployment.manifest?.time ?? '');
  return Number.isNaN(at) ? 0 : at;
};

/**
 * Puts the copy in place of a torn file, so that a reader meets either; without a copy the stack has no state, as before
 * its first update. Returns the name that the torn file has now; only the last one is kept.
 */
export const takePlaceOf = (path: string, copy: WholeCopy | null): string => {
  const aside = `${path}.torn`;
  if (copy === null) {
    renameSync(path, aside);
    return aside;
  }
  rmSync(aside, { force: true });
  linkSync(path, aside);
  writeFileAtomically(path, copy.text);
  return aside;
};
