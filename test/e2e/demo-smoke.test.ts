import { describe, expect, it } from '@jest/globals';
import { runVmpool } from '../support/command.js';

const limitMs = 300_000;

describe('the demo', () => {
  it(
    'runs the whole path with a mixed load, tells programs its outcome, and leaves nothing over: exit code 0',
    async () => {
      const { code, out: outcome, err: said } = await runVmpool(['demo', '--json'], limitMs);
      // What it said stands in the failure, if there is one.
      expect({ code, said: code === 0 ? '' : said + outcome }).toEqual({ code: 0, said: '' });
      expect(JSON.parse(outcome)).toMatchObject({
        ok: true,
        problems: [],
        jobs: expect.any(Array) as unknown,
      });
      expect(said).toMatch(/pulumi preview: no change in demo, demo-c001/);
      expect(said).toContain('nothing is left on this machine');
    },
    limitMs + 60_000,
  );
});
