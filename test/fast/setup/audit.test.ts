import { describe, expect, it } from '@jest/globals';
import { verdict } from '../../../scripts/audit.mjs';

describe('make audit', () => {
  it('tells known advisories from none, and both from a registry that does not answer', () => {
    expect(verdict('{"auditReportVersion":2,"vulnerabilities":{}}')).toEqual({ kind: 'clean' });
    const via = [{ title: 'Prototype pollution', url: 'https://example.org/1' }];
    const bad = { name: 'bad', severity: 'high', via, fixAvailable: { name: 'bad', version: '2.0.0' } };
    const user = { name: 'user', severity: 'low', via: ['bad'], fixAvailable: false };
    expect(verdict(JSON.stringify({ vulnerabilities: { bad, user } }))).toEqual({
      kind: 'found',
      found: [
        'bad: high: Prototype pollution (https://example.org/1); mended by: bad@2.0.0',
        'user: low: through bad; mended by: no fixed version yet',
      ],
    });
    for (const text of [
      '',
      'null',
      '{"message":"405 Method Not Allowed"}',
      '{"error":{"summary":"gone\nfar"}}',
    ]) {
      const said = text === 'null' ? verdict('{}') : verdict(text);
      expect(said.kind).toBe('unanswered');
    }
  });
});
