import { Figures } from './figures.js';
import { findMutant, mutants } from './mutants.js';
import { planOf } from './plans.js';
import { rules } from './rules.js';
import { shrink } from './shrink.js';
import type { Told } from './story.js';
import { tell } from './story.js';

async function retell(given: string): Promise<number> {
  const told = await tell({ ...planOf(1), ...(JSON.parse(given) as object) }, undefined, true);
  for (const line of told.log) console.log(line);
  console.log(told.violation?.message ?? `no rule was broken in ${told.steps} steps`);
  return told.violation === null ? 0 : 1;
}

async function complain(told: Told): Promise<number> {
  console.log(`seed ${told.plan.seed}: ${told.violation?.message ?? ''}\nlooking for a smaller story ...`);
  const least = await shrink(told);
  console.log(least.log.slice(-Number(process.env['LINES'] ?? 120)).join('\n'));
  const broken = least.violation;
  if (broken !== null) console.log(`\ninvariant ${rules[broken.rule]}: ${broken.message}\n${broken.stack}`);
  console.log(`replay: STORY='${JSON.stringify(least.plan)}' node scripts/sim.mjs`);
  return 1;
}

/** A checker that finds nothing wrong is worth what it finds wrong in a core that is. */
async function findMutants(): Promise<number> {
  let found = 0;
  for (const mutant of mutants) {
    const told = await findMutant(mutant);
    if (told === null) console.log(`  not found: a core that ${mutant.breaks}`);
    else found += 1;
  }
  console.log(`mutants: ${found} of ${mutants.length} found`);
  return found === mutants.length ? 0 : 1;
}

/** A number from the environment; make gives an empty word for what was not given. */
function given(name: string): number | undefined {
  const text = process.env[name];
  if (text === undefined || text === '') return undefined;
  const number = Number(text);
  if (!Number.isFinite(number)) throw new Error(`${name} must be a number, not ${text}`);
  return number;
}

/**
 * Tells stories one after the other until STEPS steps are done (or HOURS are over) or a rule is broken.
 * SEED: the first seed (default: the clock's); STEPS: 1,000,000; STORY: a plan as JSON, told once with its log.
 */
async function main(): Promise<number> {
  const story = process.env['STORY'];
  if (story !== undefined) return retell(story);
  const first = given('SEED') ?? Date.now() % 1_000_000_000;
  const hours = given('HOURS');
  const wanted = hours === undefined ? (given('STEPS') ?? 1_000_000) : Number.POSITIVE_INFINITY;
  const limitS = hours === undefined ? Number.POSITIVE_INFINITY : hours * 3600;
  const figures = new Figures();
  let shown = 0;
  for (let seed = first; figures.steps < wanted && figures.seconds() < limitS; seed += 1) {
    const told = await tell(planOf(seed));
    figures.add(told);
    if (told.violation !== null) return complain(told);
    if (figures.seconds() - shown > 600) {
      shown = figures.seconds();
      console.log(`${figures.steps} steps so far, seed ${seed}`);
    }
  }
  for (const line of figures.lines(first)) console.log(line);
  return process.env['MUTANTS'] === 'no' ? 0 : findMutants();
}

process.exitCode = await main();
