import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { repoRoot } from '../../src/repo-root.js';
import type { Site } from './site.js';

/** `vmpool serve` as a process of its own, so that it can be killed. */
export interface ServiceProcess {
  readonly url: string;
  readonly pid: number;
  readonly logged: readonly string[];
  /** SIGKILL, as a crash would. */
  kill(): Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>;
}

/** Against hanging only. */
const readyLimitMs = 120_000;

/** `onLine` gets every line of its log. */
export async function startServiceProcess(
  site: Pick<Site, 'configFile' | 'env'>,
  onLine: (line: string) => void = () => undefined,
): Promise<ServiceProcess> {
  const child: ChildProcess = spawn(
    process.execPath,
    [join(repoRoot, 'dist', 'src', 'cli', 'main.js'), 'serve', '--config', site.configFile],
    {
      env: { ...process.env, ...site.env, HOME: process.env['HOME'] ?? '/root' },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const exited = once(child, 'exit') as Promise<[number | null]>;
  const logged: string[] = [];
  child.stderr?.on('data', (text: Buffer) => logged.push(text.toString()));
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const url = await new Promise<string>((resolve, reject) => {
    const limit = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`the service was not ready within ${readyLimitMs} ms:\n${logged.join('\n')}`));
    }, readyLimitMs);
    void exited.then(([code]) => {
      clearTimeout(limit);
      reject(new Error(`the service ended with ${String(code)} before it was ready:\n${logged.join('\n')}`));
    });
    lines.on('line', (line) => {
      logged.push(line);
      onLine(line);
      const found = /"event":"ready".*?"url":"([^"]+)"/.exec(line)?.[1];
      if (found === undefined) return;
      clearTimeout(limit);
      resolve(found);
    });
  });
  return {
    url,
    pid: child.pid as number,
    logged,
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
    },
    stop: async () => {
      child.kill('SIGTERM');
      const [code] = await exited;
      return code;
    },
  };
}
