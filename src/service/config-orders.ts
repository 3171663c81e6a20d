import type { Cloud } from '../cloud/port.js';
import type { Engine } from '../engine/port.js';
import { projectDefaults } from '../engine/stack-config.js';
import type { ConfigAnswer } from '../http/config-api.js';
import type { Book, Note } from '../pool/book.js';
import { membersOf } from '../pool/book.js';
import type { Shape } from '../pool/model.js';
import { errorText } from '../store/files.js';
import { changesBetween, messageOf, nextConfig, shapeOf, type ConfigWish } from './config-changes.js';
import type { Answer, PoolService } from './port.js';
import { resolveShape } from './resolve-shape.js';
import { belowBusy, quotaShortfalls } from './shape-advice.js';

export interface ConfigOrderParts {
  readonly engine: Pick<Engine, 'poolConfig' | 'updatePool'>;
  readonly cloud: Cloud;
  readonly book: () => Book;
  readonly now: () => number;
  readonly adopt: (signal: AbortSignal) => ReturnType<PoolService['adopt']>;
  /** Into history, log and events. */
  readonly tell: (note: Note) => void;
  readonly stopping: AbortSignal;
}

/** For the looks at backend and cloud, the update of the stack and the adoption together, milliseconds. */
const limitMs = 4 * 60_000;

const refused = (
  code: 'conflict' | 'inconsistent-input' | 'unavailable',
  detail: string,
): Answer<ConfigAnswer> => ({ kind: 'refused', code, detail });

/**
 * Changes of the pool stack's config by order: looked at as at an adoption, then brought up by the engine as any
 * checkout would do, so that the stack stays the one place where the shape is said, then adopted. One at a time.
 */
export const configOrders = (
  parts: ConfigOrderParts,
): ((wish: ConfigWish) => Promise<Answer<ConfigAnswer>>) => {
  let busy = false;
  return async (wish) => {
    if (busy)
      return refused('conflict', 'another change of the config is being brought up: try again when it is');
    busy = true;
    try {
      return await carryOut(parts, wish, AbortSignal.any([parts.stopping, AbortSignal.timeout(limitMs)]));
    } catch (error) {
      return refused('unavailable', errorText(error));
    } finally {
      busy = false;
    }
  };
};

const carryOut = async (
  parts: ConfigOrderParts,
  wish: ConfigWish,
  signal: AbortSignal,
): Promise<Answer<ConfigAnswer>> => {
  const { engine } = parts;
  const defaults = projectDefaults();
  const inForce = await engine.poolConfig(signal);
  const next = nextConfig(inForce, wish.change);
  if (!next.ok) return refused('conflict', next.why);
  const parsed = shapeOf(next.config, defaults);
  if (!parsed.ok) return refused('inconsistent-input', parsed.errors.join('; '));
  const resolved = await resolveShape(parts.cloud, parsed.value.shape, signal);
  if (!resolved.ok) return refused('conflict', resolved.why);
  const warnings = await advice(parts, parsed.value.shape, signal);
  const changes = changesBetween(inForce?.config ?? {}, next.config, defaults);
  const answer = (applied: boolean, detail: string): Answer<ConfigAnswer> => ({
    kind: 'done',
    value: { applied, detail, changes, warnings },
  });
  if (wish.dryRun)
    return answer(false, changes.length === 0 ? 'nothing would change' : 'nothing was changed');
  const same = inForce !== null && changes.length === 0;
  if (!same) {
    const message = messageOf(wish, inForce);
    await engine.updatePool({ config: next.config, message, since: inForce?.at ?? null }, signal);
    parts.tell({ at: parts.now(), kind: 'config', detail: `${message}: ${wordsOf(changes)}` });
  }
  const adopted = await parts.adopt(signal);
  if (adopted.kind === 'refused')
    return refused(
      'conflict',
      `${same ? '' : 'the pool stack is up with it, but '}the service does not adopt it: ${adopted.detail}`,
    );
  return answer(!same, same ? `nothing to change; ${adopted.value.detail}` : adopted.value.detail);
};

/** Long values (user data) are named only. */
const wordsOf = (changes: ConfigAnswer['changes']): string =>
  changes
    .map(({ key, from, to }) =>
      [from, to].some((value) => value !== null && value.length > 60)
        ? `${key} changed`
        : `${key} ${from ?? 'unset'} -> ${to ?? 'unset'}`,
    )
    .join(', ');

const advice = async (parts: ConfigOrderParts, shape: Shape, signal: AbortSignal): Promise<string[]> => {
  const { cloud, book } = parts;
  const members = membersOf(book());
  const below = belowBusy(shape.max, members.filter(({ state }) => state.kind === 'Busy').length);
  const flavor = await cloud.flavor(shape.spec.flavor, signal);
  const lacking = flavor.found
    ? quotaShortfalls({
        ...{ max: shape.max, spec: shape.spec, flavor: flavor.value },
        quota: await cloud.quota(signal),
        ours: members.length,
      })
    : [];
  return [...(below === null ? [] : [below]), ...lacking];
};
