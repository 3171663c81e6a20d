import { expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repoRoot } from '../../../src/repo-root.js';
import { pagesOnThePool, stepsOf } from '../../support/tutorial.js';

/** Pages whose commands other tests run, and the file that does. */
const elsewhere: Readonly<Record<string, string>> = {
  'README.md': '.ci/run',
  'docs/tutorials/first-pool.md': 'test/e2e/tutorial.test.ts',
  'docs/how-to/services-command.md': 'test/services/guide.test.ts',
};

const docs = readdirSync(join(repoRoot, 'docs'), { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.md'))
  .map((path) => `docs/${path}`);
const pages = ['README.md', ...docs].filter(
  (page) => stepsOf(join(repoRoot, page)).length > 0,
);

it('each page with commands has a test that runs them', () => {
  const runs = new Set([...pagesOnThePool, ...Object.keys(elsewhere)]);
  expect(pages.filter((page) => !runs.has(page))).toEqual([]);
  expect([...runs].filter((page) => !pages.includes(page))).toEqual([]);
});

it('and those tests name what they run', () => {
  for (const [page, by] of Object.entries(elsewhere)) {
    const name = page === 'README.md' ? 'make test' : page;
    expect({ by, names: readFileSync(join(repoRoot, by), 'utf8').includes(name) }).toEqual({ by, names: true });
  }
});
