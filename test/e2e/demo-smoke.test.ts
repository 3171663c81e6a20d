import { describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { repoRoot } from '../../src/repo-root.js';

const limitMs = 300_000;

describe('the demo', () => {
  it(
    'runs the whole path with a mixed load and leaves nothing over: exit code 0',
    async () => {
      const child = spawn(process.execPath, [join(repoRoot, 'dist/src/cli/main.js'), 'demo'], {
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
      expect(said).toMatch(/pulumi preview: no change in demo, demo-c001/);
      expect(said).toContain('nothing is left on this machine');
    },
    limitMs + 60_000,
  );
});
