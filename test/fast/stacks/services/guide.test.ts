import { describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { repoRoot } from '../../../../src/repo-root.js';
import { parseServices, serviceSettingsSchema } from '../../../../stacks/services/registry.js';

const guides = join(repoRoot, 'docs', 'how-to');
const pages = readdirSync(guides).filter((name) => name.startsWith('services-'));
const textOf = (page: string): string => readFileSync(join(guides, page), 'utf8');

/** Every `services` map that a page shows, whole or as one entry of it. */
const examplesOf = (page: string): unknown[] =>
  [...textOf(page).matchAll(/^```yaml\n([^]*?)^```$/gm)]
    .map(([, text = '']) => parse(text.replaceAll('AAAA...', 'AAAAC3NzaC1lZDI1NTE5')) as object)
    .filter((value) => !('guest' in value))
    .map((value) =>
      'config' in value ? (value.config as Record<string, unknown>)['vmpool:services'] : value,
    );

describe('the guide’s pages about services', () => {
  it.each(pages)('%s shows settings that are taken as they stand, and says what the host needs', (page) => {
    const examples = examplesOf(page);
    expect(examples.length).toBeGreaterThan(0);
    for (const example of examples) expect(parseServices(example)).toMatchObject({ ok: true });
    expect(textOf(page)).toMatch(/^#+ (What it needs on|On) /m);
  });

  it('are about every kind, and have a row for every setting', () => {
    const common = new Set(['type', 'host', 'stateDir']);
    const shown = pages.flatMap((page) =>
      examplesOf(page).flatMap((example) => {
        const parsed = parseServices(example);
        return parsed.ok ? Object.values(parsed.value).map(({ type }) => [type, textOf(page)] as const) : [];
      }),
    );
    for (const { shape } of serviceSettingsSchema.options) {
      const page = shown.find(([type]) => type === shape.type.value)?.[1];
      for (const setting of Object.keys(shape).filter((name) => !common.has(name)))
        expect({ type: shape.type.value, setting, found: page?.includes(setting) }).toMatchObject({
          found: true,
        });
    }
  });
});
