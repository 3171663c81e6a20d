import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { instanceType, nameOfUrn, parseCheckpointFile, type ParsedState } from '../engine/deployment.js';
import { StackFiles } from '../engine/stack-files.js';
import { statePath } from '../engine/state-copies.js';
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
        path: place.backend === null ? null : statePath(place.backend, stack),
        torn: state.torn && place.backend !== null,
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
  const path = statePath(backend, stack);
  if (!existsSync(path)) return null;
  try {
    return parseCheckpointFile(readFileSync(path, 'utf8'));
  } catch (error) {
    return { ok: false, why: errorText(error), torn: false };
  }
};
