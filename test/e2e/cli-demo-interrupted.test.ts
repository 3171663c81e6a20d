import { describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { repoRoot } from '../../src/repo-root.js';
import { eventually } from '../support/site.js';
import { traces } from '../support/traces.js';

const minutes = 60_000;

/** Starts a demo, waits until its jobs run, and sends it a signal. */
const endedBy = async (
  signal: NodeJS.Signals,
): Promise<{ pid: number; code: number | null; said: string }> => {
  const child = spawn(process.execPath, [join(repoRoot, 'dist/src/cli/main.js'), 'demo'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  let said = '';
  child.stdout.on('data', (part: Buffer) => (said += part.toString()));
  child.stderr.on('data', (part: Buffer) => (said += part.toString()));
  await eventually('a job on a VM', 2 * minutes, () => said.includes('Busy with') || child.exitCode !== null);
  child.kill(signal);
  return { pid: child.pid ?? 0, code: await ended, said };
};

describe('a demo that is ended while its jobs run', () => {
  it(
    'by Ctrl-C: cleans up and exits with 130',
    async () => {
      const { pid, code, said } = await endedBy('SIGINT');
      expect(said).toContain('nothing is left on this machine');
      expect(code).toBe(130);
      expect(traces(pid)).toEqual([]);
    },
    4 * minutes,
  );

  it(
    'by SIGKILL: its processes end and its directory goes all the same',
    async () => {
      const { pid } = await endedBy('SIGKILL');
      await eventually(`nothing left of demo ${String(pid)}`, 2 * minutes, () => traces(pid).length === 0);
      expect(traces(pid)).toEqual([]);
    },
    5 * minutes,
  );
});
