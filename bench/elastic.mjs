#!/usr/bin/env node
/**
 * The benchmarks that make VMs, beside their floors: a table, and `bench/results-elastic.json` with the same rows.
 *
 *   node bench/elastic.mjs [ROW ...]     grow-10 grow-100 grow-200 grow-200-boot grow-1000; all: an hour
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { growRows } from './elastic/rows.mjs';

const subnet = '127.125.0.0/16';
const known = {
  'grow-10': () => growRows({ n: 10, buildMs: 0, rounds: 8, plain: false, subnet }),
  'grow-100': () => growRows({ n: 100, buildMs: 0, rounds: 8, plain: false, subnet }),
  'grow-200': () => growRows({ n: 200, buildMs: 0, rounds: 8, plain: true, subnet }),
  'grow-200-boot': () => growRows({ n: 200, buildMs: 5_000, rounds: 0, plain: true, subnet }),
  'grow-1000': () => growRows({ n: 1_000, buildMs: 0, rounds: 8, plain: false, subnet }),
};
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in known));
if (unknown.length > 0) {
  console.error(`no such row: ${unknown.join(', ')}; there are: ${Object.keys(known).join(', ')}`);
  process.exit(2);
}
const rows = [];
for (const name of wanted.length === 0 ? Object.keys(known) : wanted) {
  process.stderr.write(`${name} ...\n`);
  const found = await known[name]();
  for (const one of found) process.stderr.write(`  ${JSON.stringify(one)}\n`);
  rows.push(...found);
}
console.table(rows);
if (wanted.length === 0)
  writeFileSync(join(import.meta.dirname, 'results-elastic.json'), `${JSON.stringify(rows, null, 2)}\n`);
