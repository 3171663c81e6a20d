import { describe, expect, it } from '@jest/globals';
import { Counter, Registry } from 'prom-client';
import { figuresTogether } from '../../../src/metrics/together.js';

const textOf = (pool: string, more = false): Promise<string> => {
  const registry = new Registry();
  registry.setDefaultLabels({ pool });
  const help = 'What\n# HELP says';
  new Counter({ name: 'a_total', help, registers: [registry], labelNames: ['q'] }).inc({ q: 'x\ny' });
  if (more) new Counter({ name: 'b_total', help: 'b', registers: [registry] }).inc(2);
  return registry.metrics();
};

describe('figures of several pools', () => {
  it('have each metric once, with the series of all', async () => {
    const text = figuresTogether([await textOf('one'), await textOf('two', true)]);
    expect(text.match(/^# HELP a_total /gm)).toHaveLength(1);
    expect(text.match(/^# TYPE a_total counter$/gm)).toHaveLength(1);
    expect(text.split('\n').filter((line) => /^[ab]_total/.test(line))).toEqual([
      'a_total{q="x\\ny",pool="one"} 1',
      'a_total{q="x\\ny",pool="two"} 1',
      'b_total{pool="two"} 2',
    ]);
  });

  it('of one pool are what that pool tells', async () => {
    const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');
    const text = await textOf('one', true);
    expect(lines(figuresTogether([text]))).toEqual(lines(text));
    expect(figuresTogether([])).toBe('');
  });
});
