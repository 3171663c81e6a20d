import { expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { httpReference } from '../../../src/http/reference.js';

it('the reference of the HTTP API is what the table of routes says (UPDATE_REFERENCE=1 writes it)', () => {
  const path = join(process.cwd(), 'docs/reference/http-api.md');
  if (process.env['UPDATE_REFERENCE'] === '1') writeFileSync(path, httpReference());
  expect(readFileSync(path, 'utf8')).toBe(httpReference());
});
