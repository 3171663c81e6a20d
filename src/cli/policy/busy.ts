import type { StatusView } from '../../http/api.js';
import type { Shape } from '../../pool/model.js';
import { belowBusy } from '../../service/shape-advice.js';
import { unless, type Verdict } from '../check/finding.js';
import { count } from '../table.js';
import type { StackPreview } from '../preview.js';

/** What a pool does with its VMs when it takes over this shape. Pure. */
export const comparedWithRunning = (shape: Shape, status: Pick<StatusView, 'members'>): Verdict => {
  const busy = status.members.filter(({ state }) => state === 'Busy').length;
  const all = status.members.length;
  if (shape.max === 0 && busy > 0)
    return {
      faults: [
        `max 0 ends a pool on which ${count(busy, 'job')} ${busy === 1 ? 'runs' : 'run'}: set max to 1 and drain, or wait until they have ended`,
      ],
    };
  const below = belowBusy(shape.max, busy);
  return below === null
    ? {
        ok: `${count(all, 'VM')} now, ${String(busy)} Busy; min ${String(shape.min)}, max ${String(shape.max)}`,
      }
    : { note: below };
};

/** A step that takes an instance away, alone or to make it again. */
const takesAway =
  /^(?:delete|replace|create-replacement|delete-replaced|discard|discard-replaced) openstack:compute\/instance:Instance (\S+)$/;

/** Does any cell's preview delete or replace a VM that a job runs on? Pure. */
export const busyInPreviews = (
  previews: readonly StackPreview[],
  status: Pick<StatusView, 'members'>,
): Verdict => {
  const busy = new Map(
    status.members.flatMap(({ name, state, job }) => (state === 'Busy' ? [[name, job?.id ?? 'a job']] : [])),
  );
  const faults = previews.flatMap(({ stack, changes, lines }) => {
    if (changes === null) return [`${stack} cannot be previewed: ${lines.join('; ')}`];
    const taken = lines.flatMap((line) => takesAway.exec(line)?.[1] ?? []);
    return [...new Set(taken)].flatMap((name) => {
      const job = busy.get(name);
      return job === undefined ? [] : [`${stack} would take ${name} away from ${job}, which runs on it`];
    });
  });
  return unless(
    faults,
    `${count(previews.length, 'cell')} previewed: no update takes a Busy VM away (${String(busy.size)} Busy)`,
  );
};
