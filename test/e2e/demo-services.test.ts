import { describe, expect, it } from '@jest/globals';
import { runVmpool } from '../support/command.js';

const limitMs = 600_000;

/** `make demo-services` after its set-up. */
describe('the demo with services', () => {
  it(
    'shows Nagios and Ganglia following the pool up and down, checks it, and leaves nothing over',
    async () => {
      const { code, out, err } = await runVmpool(['demo', '--services'], limitMs);
      const said = out + err;
      // What it said stands in the failure, if there is one.
      expect({ code, said: code === 0 ? '' : said }).toEqual({ code: 0, said: '' });
      expect(said).toMatch(/Nagios: 1 host \(\+demo-0001-/);
      expect(said).toMatch(/Ganglia: 1 host \(\+demo-0001-/);
      expect(said).toContain('nothing is left on this machine');
    },
    limitMs + 60_000,
  );
});
