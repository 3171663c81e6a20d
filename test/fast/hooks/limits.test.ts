import { describe, expect, it } from '@jest/globals';
import { limitsOf, timeLimit } from '../../../hooks/src/torque/limits.js';
import { parseEpilogueArguments } from '../../../hooks/src/torque/arguments.js';

describe('limits in a resource list', () => {
  it.each([
    ['nodes=1:ppn=2,walltime=01:00:00', {}],
    ['', {}],
    ['mem=4gb,cput=01:00:00', { mem: 4 * 2 ** 30, cput: 3600 }],
    ['cput=90,pcput=00:10,mem=1024kb,pmem=2mw', { cput: 90, pcput: 10, mem: 2 ** 20, pmem: 2 ** 24 }],
    ['vmem=10gb,pvmem=1048576', { vmem: 10 * 2 ** 30, pvmem: 2 ** 20 }],
    ['neednodes=1,nodes=1,mem=0,cput=00:00:00', {}],
    ['mem=lots,cput=soon,file=1gb', {}],
    ['mem=1gb,mem=2gb', { mem: 2 ** 30 }],
  ])('%j', (resources, limits) => {
    expect(limitsOf(resources)).toEqual(limits);
  });

  it.each([
    ['59', 59],
    ['1:02:03', 3723],
    ['2:00:00:01', 172_801],
    ['10.5', 10],
    ['1::2', null],
    ['1:2:3:4:5', null],
    ['x', null],
  ])('a time of %j', (text, seconds) => {
    expect(timeLimit(text)).toBe(seconds);
  });
});

describe("the job's exit status for an epilogue", () => {
  const statusOf = (tenth: string | undefined): number | null | string => {
    const first = ['1.s', 'alice', 'users', 'job', '99', '', '', 'batch', ''];
    const parsed = parseEpilogueArguments(tenth === undefined ? first : [...first, tenth]);
    return parsed.ok ? parsed.value.exitStatus : parsed.why;
  };
  it.each([
    ['0', 0],
    ['271', 271],
    ['-11', -11],
    ['', null],
    [undefined, null],
    ['0x10', null],
    ['1e3', null],
    ['99999', null],
  ])('%j', (text, status) => {
    expect(statusOf(text)).toBe(status);
  });
});
