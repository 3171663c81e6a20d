import { describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { repoRoot } from '../../src/repo-root.js';

const limitMs = 300_000;

describe('the demo', () => {
  it(
    'runs the whole path with a mixed load, tells programs its outcome, and leaves nothing over: exit code 0',
    async () => {
      const child = spawn(process.execPath, [join(repoRoot, 'dist/src/cli/main.js'), 'demo', '--json'], {
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: limitMs,
        killSignal: 'SIGINT',
      });
      let [outcome, said] = ['', ''];
      child.stdout.on('data', (part: Buffer) => (outcome += part.toString()));
      child.stderr.on('data', (part: Buffer) => (said += part.toString()));
      const code = await new Promise((resolve) => child.once('close', resolve));
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
