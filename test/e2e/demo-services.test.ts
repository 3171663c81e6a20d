import { describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { repoRoot } from '../../src/repo-root.js';

const limitMs = 600_000;

/** `make demo-services` after its set-up. */
describe('the demo with services', () => {
  it(
    'shows Nagios and Ganglia following the pool up and down, checks it, and leaves nothing over',
    async () => {
      const child = spawn(process.execPath, [join(repoRoot, 'dist/src/cli/main.js'), 'demo', '--services'], {
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: limitMs,
        killSignal: 'SIGINT',
      });
      let said = '';
      child.stdout.on('data', (part: Buffer) => (said += part.toString()));
      child.stderr.on('data', (part: Buffer) => (said += part.toString()));
      const code = await new Promise((resolve) => child.once('close', resolve));
      // What it said stands in the failure, if there is one.
      expect({ code, said: code === 0 ? '' : said }).toEqual({ code: 0, said: '' });
      expect(said).toMatch(/Nagios: 1 host \(\+demo-0001-/);
      expect(said).toMatch(/Ganglia: 1 host \(\+demo-0001-/);
      expect(said).toContain('nothing is left on this machine');
    },
    limitMs + 60_000,
  );
});
