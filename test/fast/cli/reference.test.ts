import { expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cliReference } from '../../../src/cli/reference.js';

it('the reference of the command line is what the commands say (UPDATE_REFERENCE=1 writes it)', () => {
  const path = join(process.cwd(), 'docs/reference/cli.md');
  if (process.env['UPDATE_REFERENCE'] === '1') writeFileSync(path, cliReference());
  expect(readFileSync(path, 'utf8')).toBe(cliReference());
});
