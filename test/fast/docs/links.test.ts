import { describe, expect, it } from '@jest/globals';
import { existsSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { repoRoot } from '../../../src/repo-root.js';
import { pages, readMarkdown, readPage } from '../../support/pages.js';

/** What of a page's links leads nowhere. Links to other sites are left alone: their pages come and go. */
const astray = (page: string, links: readonly string[]): readonly string[] =>
  links.filter((link) => {
    if (/^[a-z]+:/.test(link)) return false;
    const [path = '', anchor] = link.split('#');
    const target = path === '' ? page : normalize(join(dirname(page), path));
    if (!existsSync(join(repoRoot, target))) return true;
    return anchor !== undefined && !readPage(target).anchors.includes(anchor);
  });

describe('the links of the pages', () => {
  it.each(pages)('of %s lead to what is there', (page) => {
    expect(astray(page, readPage(page).links)).toEqual([]);
  });

  it('would be found astray without their file or their heading', () => {
    const { links } = readMarkdown('[a](docs/none.md), [b](README.md#none), [c](README.md#limits), [d](https://a.example)');
    expect(astray('README.md', links)).toEqual(['docs/none.md', 'README.md#none']);
    expect(pages.flatMap((page) => readPage(page).links).length).toBeGreaterThan(200);
  });
});
