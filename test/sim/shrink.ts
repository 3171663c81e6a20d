import type { Core } from './service.js';
import type { Plan, Told } from './story.js';
import { realCore, tell } from './story.js';

/** Looks for a smaller plan that breaks the same rule: fewer faults, fewer workers and jobs, fewer steps. */
export function shrink(told: Told, core: Core = realCore, tries = 300): Told {
  const rule = told.violation?.rule;
  let best = told;
  let left = tries;
  const attempt = (plan: Plan): boolean => {
    if (left <= 0) return false;
    left -= 1;
    const next = tell(plan, core);
    if (next.violation?.rule !== rule) return false;
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
        if (attempt({ ...best.plan, faults })) again = true;
        else i += size;
      }
    }
    for (const jobs of [1, 2, 3, 5, 10, 20].filter((n) => n < best.plan.jobs)) {
      if (attempt({ ...best.plan, jobs })) {
        again = true;
        break;
      }
    }
    if (best.plan.workers > 1 && attempt({ ...best.plan, workers: best.plan.workers - 1 })) again = true;
    const half = Math.floor(best.plan.troubledSteps / 2);
    if (half > 10 && attempt({ ...best.plan, troubledSteps: half })) again = true;
  }
  return tell(best.plan, core, true);
}
