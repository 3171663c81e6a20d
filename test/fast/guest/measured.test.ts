import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseOrderAnswer } from '../../../src/guest/answers.js';
import { limitsText, parseMeasured } from '../../../src/guest/measured.js';

const line = (changes: Readonly<Record<string, string>> = {}): string => {
  const fields = {
    ...{ cpu: '1234', memory: '1048576', wall: '2000', begun: '1', code: '3', told: '0', over: 'none' },
    ...{ resource: '-', value: '0', limit: '0', by: 'sampler', answered: '17', ...changes },
  };
  const text = Object.entries(fields).map(([name, value]) => `${name}=${value}`);
  return `${`v1 ${text.join(' ')}`.padEnd(300)} end`;
};

describe('figures from a VM', () => {
  it('are read in seconds and bytes', () => {
    expect(parseMeasured(line())).toEqual({
      ...{ cpuSeconds: 12.34, memoryBytes: 1048576, wallSeconds: 20, begun: true, code: 3 },
      ...{ told: false, over: null },
    });
    expect(parseMeasured(line({ code: '-', answered: '-', begun: '0', told: '1' }))).toMatchObject({
      ...{ code: null, begun: false, told: true },
    });
    const beyond = line({ over: 'cput', resource: 'cput', value: '210', limit: '200', by: 'cgroup' });
    expect(parseMeasured(beyond)?.over).toEqual({ limit: 'cput', value: 2.1, most: 2 });
    const memory = line({ over: 'memory', resource: 'pmem', value: '210', limit: '200' });
    expect(parseMeasured(memory)?.over).toEqual({ limit: 'pmem', value: 210, most: 200 });
  });

  it.each([
    '',
    line().slice(0, -4),
    `${line()} `,
    line({ cpu: '-1' }),
    line({ cpu: '1e9' }),
    line({ cpu: '9'.repeat(16) }),
    line({ cpu: '9'.repeat(14) }),
    line({ wall: '9'.repeat(14) }),
    line({ memory: '9'.repeat(15) }),
    line({ memory: 'NaN' }),
    line({ code: '256' }),
    line({ code: '-9' }),
    line({ resource: 'swap' }),
    line({ over: 'everything' }),
    line().replace('v1', 'v2'),
    line().replace('begun=1 ', ''),
  ])('are none in %j', (text) => {
    expect(parseMeasured(text)).toBeNull();
  });

  it('are finite and bounded, or none, whatever a job that became root writes', () => {
    const number = fc.oneof(fc.nat().map(String), fc.string(), fc.constant('9'.repeat(15)));
    fc.assert(
      fc.property(number, number, number, (cpu, memory, wall) => {
        const found = parseMeasured(line({ cpu, memory, wall }));
        if (found === null) return;
        for (const value of [found.cpuSeconds, found.memoryBytes, found.wallSeconds]) {
          expect(value).toBeGreaterThanOrEqual(0);
          expect(value).toBeLessThan(2 ** 51);
        }
      }),
    );
  });

  it('come with the answer to an order, once at most', () => {
    const measured = parseMeasured(line());
    expect(parseOrderAnswer(`usage ${line()}\nnote a\nok\n`)).toEqual({
      ...{ kind: 'ok', notes: ['a'], measured },
    });
    expect(parseOrderAnswer(`usage nonsense\nok\n`)).toMatchObject({ kind: 'ok', measured: null });
    expect(parseOrderAnswer(`usage ${line()}\nusage ${line()}\nok\n`)).toBeNull();
    expect(parseOrderAnswer(`usage ${line()}\nfailed no\n`)).toMatchObject({ kind: 'failed', measured });
  });
});

describe('limits for a VM', () => {
  it('are whole bytes and hundredths of seconds, 0 for none', () => {
    expect(limitsText({})).toBe('0 0 0 0 0 0');
    expect(limitsText({ mem: 2 ** 31, pvmem: 10, cput: 90, pcput: 1.234 })).toBe(
      '2147483648 0 0 10 9000 123',
    );
    expect(limitsText({ mem: Infinity, vmem: -5, cput: Number.NaN })).toBe('0 0 0 0 0 0');
  });
});
