#!/usr/bin/env node
/**
 * The benchmarks of a large pool, beside their floors: a table, and `bench/results.json` with the same rows.
 *
 *   node bench/scale.mjs            all of them, some minutes
 *   node bench/scale.mjs --smoke    short, less exact; exit code 1 when a row is a factor of two beyond what is wanted
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { growthRows, idleRows, leaseRows, restartRows } from './scale/rows.mjs';

const smoke = process.argv.includes('--smoke');
const slack = smoke ? 2 : 1;
const members = 1_000;
const rows = [];
const measure = async (what, measured) => {
  process.stderr.write(`${what} ...\n`);
  rows.push(...(await measured));
};
await measure(
  'leases',
  leaseRows({ members, singles: smoke ? 150 : 400, pairs: smoke ? 800 : 4_000, slack }),
);
await measure('restart', restartRows({ members, slack }));
await measure('idle', idleRows({ members, seconds: smoke ? 10 : 60, slack }));
if (!smoke) await measure('growth', growthRows({ members: 100, leases: 100_000 }));

const cell = (value) => (value === null ? '' : String(value));
const columns = ['name', 'unit', 'p50', 'p99', 'floor', 'ratio', 'wanted', 'met'];
const table = [columns, ...rows.map((r) => columns.map((key) => cell(r[key])))];
const widths = columns.map((_, n) => Math.max(...table.map((line) => line[n].length)));
for (const line of table)
  console.log(
    line
      .map((text, n) => text.padEnd(widths[n]))
      .join('  ')
      .trimEnd(),
  );
if (!smoke) writeFileSync(join(import.meta.dirname, 'results.json'), `${JSON.stringify(rows, null, 2)}\n`);
// On a machine that others use as well, only what stands beside a floor of the same run can be judged.
const judged = smoke ? rows.filter((r) => r.ratio !== null) : rows;
const missed = judged.filter((r) => !r.met).length;
console.log(`bench: ${judged.length - missed} checks passed, ${missed} failed`);
if (smoke && missed > 0) process.exitCode = 1;
