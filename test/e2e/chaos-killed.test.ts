import { describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repoRoot } from '../../src/repo-root.js';
import { eventually } from '../support/site.js';
import { traces } from '../support/traces.js';

const minutes = 60_000;

const mountsOf = (pid: number): string => {
  try {
    return readFileSync(`/proc/${String(pid)}/mounts`, 'utf8');
  } catch {
    return '';
  }
};

describe('a run of chaos that is itself killed with SIGKILL', () => {
  it(
    'leaves no process, no directory and no mount behind',
    async () => {
      const main = join(repoRoot, 'dist/test/chaos/main.js');
      const child = spawn(
        'unshare',
        ['--mount', '--propagation', 'private', process.execPath, main, '--kills', '1', '--seed', '1'],
        { stdio: 'ignore' },
      );
      const ended = new Promise((resolve) => child.once('exit', resolve));
      const pid = child.pid ?? 0;
      await eventually('the cloud of the run is up, its state is mounted', minutes, () => {
        const processes = traces(pid).filter((trace) => /^\d+$/.test(trace));
        // Besides the run's own janitor.
        return processes.length > 1 && mountsOf(pid).includes('vmpool-chaos');
      });
      child.kill('SIGKILL');
      await ended;
      await eventually(`nothing left of run ${String(pid)}`, 2 * minutes, () => traces(pid).length === 0);
      expect(traces(pid)).toEqual([]);
      expect(readFileSync('/proc/self/mounts', 'utf8')).not.toContain('vmpool-chaos');
    },
    4 * minutes,
  );
});
