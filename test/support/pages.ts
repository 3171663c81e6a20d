import { parsers } from 'prettier/plugins/markdown';
import type { ParserOptions } from 'prettier';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { repoRoot } from '../../src/repo-root.js';

/** A block of a page: fenced or indented, in a list or not. */
export interface Block {
  /** Number of its first line, from 1. */
  readonly line: number;
  /** The heading above it. */
  readonly title: string;
  /** What stands behind its fence; null for an indented block, and where nothing does. */
  readonly language: string | null;
  readonly text: string;
  /** The paragraph before it begins with *By hand*. */
  readonly byHand: boolean;
}

interface Node {
  readonly type: string;
  readonly value?: string | undefined;
  readonly lang?: string | null | undefined;
  readonly url?: string | undefined;
  readonly position: { readonly start: { readonly line: number } };
  readonly children?: readonly Node[] | undefined;
}
const node: z.ZodType<Node> = z.object({
  type: z.string(),
  value: z.string().optional(),
  lang: z.string().nullish(),
  url: z.string().optional(),
  position: z.object({ start: z.object({ line: z.number() }) }),
  get children() {
    return z.array(node).optional();
  },
});

const textOf = ({ value = '', children = [] }: Node): string => value + children.map(textOf).join('');

/** `*By hand*`, in italics, are its first words. */
function marksByHand({ type, children = [] }: Node): boolean {
  const [first] = children;
  return type === 'paragraph' && first?.type === 'emphasis' && textOf(first) === 'By hand';
}

/** A heading's name in a link, as GitHub makes it. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-');

/** All blocks of a text in Markdown, in their order, the words that stand as code in its sentences, links and anchors. */
export function readMarkdown(text: string): {
  readonly blocks: readonly Block[];
  readonly words: readonly string[];
  readonly links: readonly string[];
  readonly anchors: readonly string[];
} {
  const blocks: Block[] = [];
  const words: string[] = [];
  const links: string[] = [];
  const anchors: string[] = [];
  let title = '';
  const look = ({ children = [] }: Node): void => {
    let byHand = false;
    for (const child of children) {
      if (child.type === 'heading') {
        title = textOf(child);
        anchors.push(anchorOf(title));
      }
      if (child.type === 'link' && child.url !== undefined) links.push(child.url);
      if (child.type === 'inlineCode') words.push(child.value ?? '');
      if (child.type === 'code') {
        const { value = '', lang = null, position } = child;
        blocks.push({ line: position.start.line, title, language: lang, text: value, byHand });
      } else {
        // What comes directly after a block of commands, such as what one sees then, goes with it.
        byHand = marksByHand(child);
        look(child);
      }
    }
  };
  // Its options are those of the printer; the parser of Markdown asks for none.
  look(node.parse(parsers.markdown.parse(text, { originalText: text } as ParserOptions)));
  return { blocks, words, links, anchors };
}

const read = new Map<string, ReturnType<typeof readMarkdown>>();
export function readPage(page: string): ReturnType<typeof readMarkdown> {
  const known = read.get(page) ?? readMarkdown(readFileSync(join(repoRoot, page), 'utf8'));
  read.set(page, known);
  return known;
}

/** Every page of the project, from its root. */
export const pages: readonly string[] = [
  ...['README.md', 'CHANGELOG.md', 'stacks/services/README.md'],
  ...readdirSync(join(repoRoot, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md'))
    .map((path) => `docs/${path}`)
    .sort(),
];
