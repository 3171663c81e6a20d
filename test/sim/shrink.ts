import type { Core } from './service.js';
import type { Plan, Told } from './story.js';
import { realCore, tell } from './story.js';

/** Looks for a smaller plan that breaks the same rule: fewer faults, fewer workers and jobs, fewer steps. */
export async function shrink(told: Told, core: Core = realCore, tries = 300): Promise<Told> {
  const same = (other: Told): boolean =>
    other.violation?.rule === told.violation?.rule && other.violation?.kind === told.violation?.kind;
  let best = told;
  let left = tries;
  const attempt = async (plan: Plan): Promise<boolean> => {
    if (left <= 0) return false;
    left -= 1;
    const next = await tell(plan, core);
    if (!same(next)) return false;
    best = next;
    return true;
  };
  for (let again = true; again && left > 0;) {
    again = false;
    for (
      let size = Math.ceil(best.plan.faults.length / 2);
      size >= 1;
      size = size > 1 ? Math.ceil(size / 2) : 0
    ) {
      for (let i = 0; i < best.plan.faults.length;) {
        const faults = best.plan.faults.filter((_, k) => k < i || k >= i + size);
        if (await attempt({ ...best.plan, faults })) again = true;
        else i += size;
      }
    }
    for (const jobs of [1, 2, 3, 5, 10, 20].filter((n) => n < best.plan.jobs)) {
      if (await attempt({ ...best.plan, jobs })) {
        again = true;
        break;
      }
    }
    if (best.plan.workers > 1 && (await attempt({ ...best.plan, workers: best.plan.workers - 1 })))
      again = true;
    const half = Math.floor(best.plan.troubledSteps / 2);
    if (half > 10 && (await attempt({ ...best.plan, troubledSteps: half }))) again = true;
  }
  return tell(best.plan, core, true);
}
