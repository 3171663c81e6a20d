import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { repoRoot } from '../../src/repo-root.js';

let directory: string;
let child: ChildProcess | undefined;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'vmpool-cloud-'));
});
afterAll(async () => {
  if (child?.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  rmSync(directory, { recursive: true, force: true });
});

const nextLine = async (lines: Interface): Promise<unknown> => {
  const [line] = (await once(lines, 'line', { signal: AbortSignal.timeout(120_000) })) as [string];
  return JSON.parse(line);
};

it('vmpool cloud --json: a line when it is up, with where its credentials are, and one when it is gone', async () => {
  const openrc = join(directory, 'openrc');
  const main = join(repoRoot, 'dist', 'src', 'cli', 'main.js');
  child = spawn(
    process.execPath,
    [main, 'cloud', '--json', '--state', join(directory, 'state'), '--openrc', openrc],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const up = (await nextLine(lines)) as { readonly authUrl: string };
  expect(up).toEqual({ up: true, openrc, authUrl: expect.stringMatching(/^http:\/\/127\./) as unknown });
  expect(statSync(openrc).mode & 0o777).toBe(0o600);
  expect(readFileSync(openrc, 'utf8')).toContain(up.authUrl);
  expect((await fetch(up.authUrl)).ok).toBe(true);
  const gone = nextLine(lines);
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  expect(await gone).toEqual({ up: false });
  expect(await ended).toEqual([0, null]);
  await expect(fetch(up.authUrl)).rejects.toThrow();
}, 180_000);
