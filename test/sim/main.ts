import { allFaults } from './faults.js';
import { shrink } from './shrink.js';
import { planOf } from './plans.js';
import { tell } from './story.js';

/**
 * Tells stories one after the other until STEPS steps are done or a rule is broken.
 * SEED: the first seed (default: the clock's); STEPS: 1,000,000; STORY: a plan as JSON, told once with its log.
 */
function main(): number {
  const given = process.env['STORY'];
  if (given !== undefined) {
    const told = tell({ ...planOf(1), ...(JSON.parse(given) as object) }, undefined, true);
    for (const line of told.log) console.log(line);
    console.log(told.violation?.message ?? `no rule was broken in ${told.steps} steps`);
    return told.violation === null ? 0 : 1;
  }
  const first = Number(process.env['SEED'] ?? Date.now() % 1_000_000_000);
  const wanted = Number(process.env['STEPS'] ?? 1_000_000);
  const began = performance.now();
  let steps = 0;
  let stories = 0;
  let simulated = 0;
  const strikes: Record<string, number> = {};
  for (let seed = first; steps < wanted; seed += 1) {
    const told = tell(planOf(seed));
    steps += told.steps;
    stories += 1;
    simulated += told.simulatedMs;
    for (const [fault, n] of Object.entries(told.strikes)) strikes[fault] = (strikes[fault] ?? 0) + n;
    if (told.violation !== null) {
      console.log(`seed ${seed}: ${told.violation.message}`);
      const least = shrink(told);
      console.log(least.log.slice(-Number(process.env['LINES'] ?? 120)).join('\n'));
      console.log(
        `\n${least.violation?.message ?? ''}\nreplay: STORY='${JSON.stringify(least.plan)}' node scripts/sim.mjs`,
      );
      return 1;
    }
  }
  const seconds = (performance.now() - began) / 1000;
  const never = allFaults.filter((f) => strikes[f] === undefined);
  console.log(
    `${stories} stories, ${steps} steps, ${(simulated / 3_600_000).toFixed(0)} simulated hours in ${seconds.toFixed(1)} s ` +
      `(${Math.round((steps / seconds) * 60)} steps a minute); no rule was broken`,
  );
  console.log(
    `faults: ${Object.entries(strikes)
      .sort((a, b) => b[1] - a[1])
      .map(([f, n]) => `${f} ${n}`)
      .join(', ')}${never.length > 0 ? `; never: ${never.join(', ')}` : ''}`,
  );
  return 0;
}

process.exitCode = main();
