#!/usr/bin/env node
/**
 * The benchmarks: a table, and `bench/results.json` with the same rows.
 *
 *   node bench/main.mjs                  all of them, some hours
 *   node bench/main.mjs GROUP ...        some; --list names them
 *   node bench/main.mjs --smoke          the guard: short, less exact; exit code 1 when a row is a factor of two beyond
 *                                        what is wanted
 */
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { groups } from './groups.mjs';
import { isInterrupted } from './owner.mjs';
import { keepResults, resultOf, tableOf, verdictOf } from './results.mjs';

const words = process.argv.slice(2);
const smoke = words.includes('--smoke');
const named = words.filter((word) => !word.startsWith('--'));
const wrong = [
  ...named.filter((name) => !Object.hasOwn(groups, name)),
  ...words.filter((word) => word.startsWith('--') && !['--smoke', '--list'].includes(word)),
];
const list = () =>
  Object.entries(groups).map(
    ([name, { about, minutes }]) => `  ${name.padEnd(14)} ${about} (${minutes} min)`,
  );
if (words.includes('--list') || wrong.length > 0) {
  if (wrong.length > 0) console.error(`no such benchmark: ${wrong.join(', ')}; there are:`);
  for (const line of list()) (wrong.length > 0 ? console.error : console.log)(line);
  process.exit(wrong.length > 0 ? 2 : 0);
}

const chosen = Object.entries(groups).filter(
  ([name, { smoke: guards = false, onRequest = false }]) =>
    (named.length === 0 ? !onRequest : named.includes(name)) && (!smoke || guards),
);
const load = () => `load ${loadavg()[0].toFixed(1)} on ${cpus().length} processors`;
const results = [];
const failed = [];
for (const [name, { rows }] of chosen) {
  console.error(`bench: ${name} (${load()}) ...`);
  try {
    const found = (await rows(smoke)).map((one) => resultOf(one, smoke ? 2 : 1));
    results.push(...found);
    // Each group at once: an interrupted run keeps what it has.
    if (!smoke) keepResults(join(import.meta.dirname, 'results.json'), found);
    for (const one of found) console.error(`  ${JSON.stringify(one)}`);
  } catch (error) {
    if (isInterrupted()) break;
    console.error(error);
    failed.push(name);
  }
}
if (!isInterrupted()) {
  for (const line of tableOf(results)) console.log(line);
  const { text, missed } = verdictOf(results);
  for (const name of missed) console.log(`missed: ${name}`);
  for (const name of failed) console.log(`could not be measured: ${name}`);
  console.log(text.replace(/(\d+) failed$/, (_, n) => `${Number(n) + failed.length} failed`));
  if (failed.length > 0 || (smoke && missed.length > 0)) process.exitCode = 1;
}
