import { expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { configurationReference } from '../../../src/config/reference.js';
import { statesReference } from '../../../src/reference/states.js';

it('the reference of the states is what the life cycle says (UPDATE_REFERENCE=1 writes it)', () => {
  const path = join(process.cwd(), 'docs/reference/states.md');
  if (process.env['UPDATE_REFERENCE'] === '1') writeFileSync(path, statesReference());
  expect(readFileSync(path, 'utf8')).toBe(statesReference());
});

it('names settings that there are', () => {
  const named = statesReference().match(/(?<=`)policy\.\w+/g) ?? [];
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((key) => !configurationReference().includes(`\`${key}\``))).toEqual([]);
});
