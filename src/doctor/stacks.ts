import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { instanceType, nameOfUrn, parseCheckpointFile, type ParsedState } from '../engine/deployment.js';
import { projectName } from '../engine/options.js';
import { StackFiles } from '../engine/stack-files.js';
import { stacksDirectory } from '../engine/environment.js';
import type { MemberName, ServerId } from '../pool/model.js';
import { errorText } from '../store/files.js';
import type { StackFacts } from './facts.js';

export interface StackPlace {
  readonly pool: string;
  readonly stateDir: string;
  /** Directory of a `file://` backend. */
  readonly backend: string | null;
}

/** What a cell's stack holds, from `state` (as its backend told it; null when it has none yet). Changes nothing. */
export const stackFactsOf = (place: StackPlace, stack: string, state: ParsedState | null): StackFacts => {
  const lost = new StackFiles(place.stateDir).lostCreates(stack);
  const common = {
    stack,
    cell: stack.slice(place.pool.length + 1),
    lost: lost.kind === 'read' ? lost.names : null,
    lostPath: join(stacksDirectory(place.stateDir), `${stack}.lost.json`),
  };
  if (state === null) return { ...common, instances: [], broken: null };
  if (!state.ok) {
    return {
      ...common,
      instances: [],
      broken: {
        why: state.why,
        path: place.backend === null ? null : stateFile(place.backend, stack),
        copy: place.backend === null ? null : newestWholeCopy(place.backend, stack),
      },
    };
  }
  const instances = (state.state.deployment.resources ?? []).flatMap(({ type, id, urn }) =>
    type === instanceType && id !== undefined && id !== ''
      ? [{ member: nameOfUrn(urn) as MemberName, serverId: id as ServerId }]
      : [],
  );
  return { ...common, instances, broken: null };
};

/** A stack's state in a `file://` backend; null when there is none. */
export const readStateFile = (backend: string, stack: string): ParsedState | null => {
  const path = stateFile(backend, stack);
  if (!existsSync(path)) return null;
  try {
    return parseCheckpointFile(readFileSync(path, 'utf8'));
  } catch (error) {
    return { ok: false, why: errorText(error) };
  }
};

const stateFile = (backend: string, stack: string): string =>
  join(backend, '.pulumi', 'stacks', projectName, `${stack}.json`);

/** Pulumi keeps a copy of the state with each update; the last few are left by the engine. */
const newestWholeCopy = (backend: string, stack: string): string | null => {
  const directory = join(backend, '.pulumi', 'history', projectName, stack);
  if (!existsSync(directory)) return null;
  const stamp = (name: string): string => /-(\d+)\.checkpoint\.json$/.exec(name)?.[1] ?? '';
  const names = readdirSync(directory)
    .filter((name) => stamp(name) !== '')
    .sort((a, b) => (stamp(a) < stamp(b) ? 1 : -1));
  for (const name of names) {
    const path = join(directory, name);
    if (parseCheckpointFile(readFileSync(path, 'utf8')).ok) return path;
  }
  return null;
};
