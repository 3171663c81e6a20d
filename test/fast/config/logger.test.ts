import { expect, it } from '@jest/globals';
import { createLogger } from '../../../src/config/logger.js';

it('the log shows no field that may hold a secret, and nothing below its level', () => {
  const lines: string[] = [];
  const log = createLogger('info', { write: (line) => void lines.push(line) });
  log.info(
    { token: 's3cret', headers: { authorization: 's3cret' }, a: { b: { capability: 's3cret' } } },
    'x',
  );
  log.debug({}, 'not shown');
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain('(redacted)');
  expect(lines[0]).not.toContain('s3cret');
});
