import { describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describedCommands } from '../../../src/cli/reference.js';
import { repoRoot } from '../../../src/repo-root.js';
import { pages, readMarkdown, readPage } from '../../support/pages.js';
import { firstPool, pagesInTheCheckout, pagesOnThePool, stepsOf } from '../../support/tutorial.js';

const contentOf = (path: string): string => readFileSync(join(repoRoot, path), 'utf8');

/** Pages whose commands other tests run: which test, the words by which that is seen, and how many blocks it runs. */
const elsewhere: Readonly<Record<string, { readonly by: string; readonly names: string; readonly blocks: number }>> = {
  // `make demo` is in that file's own words the suite e2e's.
  'README.md': { by: '.ci/run', names: 'make test', blocks: 1 },
  'docs/tutorials/services.md': { by: 'test/e2e/demo-services.test.ts', names: "'--services'", blocks: 1 },
  'docs/how-to/services-command.md': {
    by: 'test/services/guide.test.ts',
    names: 'docs/how-to/services-command.md',
    blocks: 1,
  },
};

/** `sh` holds commands, `text` what one sees, the others what stands in a file or is asked of Prometheus. */
const languages = ['sh', 'text', 'yaml', 'json', 'ini', 'conf', 'promql'];
const command =
  /^\s*(?:\$ |(?:sudo|vmpool|make|pulumi|node|npm|npx|git|eval|export|cd|qsub|qstat|qdel|qmgr|pbsnodes|systemctl|journalctl|openstack|curl|apt-get|ssh|scp|docker|test\/\S+) (?!->))/m;

describe('every block of every page', () => {
  it.each(pages)('%s: says what it is, and commands stand in blocks of commands', (page) => {
    const wrong = readPage(page).blocks.filter(
      ({ language, text }) =>
        language === null || !languages.includes(language) || (language !== 'sh' && command.test(text)),
    );
    expect(wrong).toEqual([]);
  });

  it('with commands is marked as by hand, or run by a test', () => {
    const withSteps = pages.filter((page) => stepsOf(page).length > 0);
    const run = [firstPool, ...pagesOnThePool, ...pagesInTheCheckout, ...Object.keys(elsewhere)];
    expect(withSteps.filter((page) => !run.includes(page))).toEqual([]);
    expect(run.filter((page) => !withSteps.includes(page))).toEqual([]);
    expect(run).toHaveLength(new Set(run).size);
  });

  it.each(Object.entries(elsewhere))('%s: all of its blocks, by the test that is named', (page, { by, names, blocks }) => {
    expect(stepsOf(page)).toHaveLength(blocks);
    expect(contentOf(by)).toContain(names);
  });

  it('of the README is what the tests run', () => {
    const lines = stepsOf('README.md').flatMap(({ commands }) => commands.split('\n'));
    expect(lines.map((line) => line.split('#')[0]?.trim())).toEqual(['make demo', 'make test']);
    expect(contentOf('test/e2e/demo-smoke.test.ts')).toContain("'demo'");
  });

  it('is seen: fenced, indented, in a list, after a mark in the same list or before another paragraph', () => {
    const page = [
      ...['# One', '', '*By hand*: there', '', '```sh', 'a', '```', '', '```text', 'A', '```', '', 'Then', '', '    b'],
      ...['', '1. *By hand*: so', '   ```sh', '   c', '   ```', '', '2. and', '', '   ~~~', '   d', '   ~~~'],
      ...['', '> ```sh', '> e', '> ```', '', '## Two', '', '| `f` | `vmpool g` |', '| --- | --- |'],
    ];
    const { blocks, words } = readMarkdown(page.join('\n'));
    expect(blocks.map(({ line, language, text, byHand }) => [line, language, text, byHand])).toEqual([
      [5, 'sh', 'a', true],
      [9, 'text', 'A', true],
      [15, null, 'b', false],
      [18, 'sh', 'c', true],
      [24, null, 'd', false],
      [28, 'sh', 'e', false],
    ]);
    expect(words).toEqual(['f', 'vmpool g']);
  });
});

describe('every command that is named in a sentence, or is by hand', () => {
  const program = describedCommands();
  const targets = [...contentOf('Makefile').matchAll(/^([a-z-]+):/gm)].map(([, name]) => name);

  /** What is wrong with a command line of vmpool: words and options are looked at, values are not. */
  function wrongIn(line: string): string | null {
    const words = line.split(/\s+/).slice(1);
    let at: Command = program;
    let below = true;
    for (const word of words) {
      if (word === '--') return null;
      if (word.startsWith('--')) {
        const name = word.split(/[=\]]/)[0] ?? '';
        const known = [...at.options, ...program.options].some(({ long }) => long === name);
        if (!known && name !== '--help' && name !== '--version') return `${at.name()} has no ${name}`;
        continue;
      }
      const next = at.commands.find((one) => one.name() === word);
      if (below && next !== undefined) at = next;
      else if (at.commands.length > 0 && /^[a-z]/.test(word)) return `there is no ${at.name()} ${word}`;
      else below = false;
    }
    return null;
  }

  it.each(pages.filter((page) => page !== 'CHANGELOG.md'))('%s: exists', (page) => {
    const { blocks, words } = readPage(page);
    const lines = [
      ...words,
      ...blocks.filter(({ language }) => language === 'sh').flatMap(({ text }) => text.split('\n')),
    ].map((line) => line.trim());
    const wrong = lines.flatMap((line) => {
      if (line.startsWith('vmpool ')) return wrongIn(line.split(/ [|>&#;]/)[0] ?? '') ?? [];
      const make = /^make ([a-z-]+)/.exec(line)?.[1];
      if (make !== undefined && !targets.includes(make)) return `there is no make ${make}`;
      const script = /^node ([a-z][\w/.-]+)/.exec(line)?.[1]?.replace(/^dist\/(.*)\.js$/, '$1.ts');
      return script !== undefined && !existsSync(join(repoRoot, script)) ? `there is no ${script}` : [];
    });
    expect(wrong).toEqual([]);
  });

  it('and one that does not exist is found', () => {
    expect(wrongIn('vmpool status --jsn')).toBe('status has no --jsn');
    expect(wrongIn('vmpool vm shwo x')).toBe('there is no vm shwo');
    expect(wrongIn('vmpool run --user x -- ls --all')).toBeNull();
  });
});
