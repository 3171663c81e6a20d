import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { repoRoot } from '../../src/repo-root.js';
import { tokens } from '../fast/http/harness.js';
import { servePool, type ServedPool } from '../fast/http/served-pool.js';
import { eventually } from '../support/site.js';

const run = promisify(execFile);

const beginnings = [
  ['a command', 'vmpool unh', 'vmpool unhold '],
  ['an option', 'vmpool status --tok', 'vmpool status --token-file '],
  ['a VM that only the service knows', 'vmpool hold p-0001-s1-0001', 'vmpool hold p-0001-s1-0001 '],
  ['a pool, behind an equals sign', 'vmpool status --pool=', 'vmpool status --pool=p'],
  ['a file', 'vmpool apply ./Pul', 'vmpool apply ./Pulumi.large.yaml '],
] as const;

describe('completion of vmpool', () => {
  let pool: ServedPool;
  let directory: string;
  let env: Record<string, string>;
  beforeAll(async () => {
    pool = await servePool(2);
    directory = mkdtempSync(join(tmpdir(), 'vmpool-completion-'));
    mkdirSync(join(directory, 'bin'));
    const program = `#!/bin/sh\nexec '${process.execPath}' '${join(repoRoot, 'dist/src/cli/main.js')}' "$@"\n`;
    writeFileSync(join(directory, 'bin', 'vmpool'), program, { mode: 0o755 });
    writeFileSync(join(directory, 'token'), tokens.viewer, { mode: 0o600 });
    writeFileSync(join(directory, 'Pulumi.large.yaml'), '');
    env = {
      ...{ PATH: `${join(directory, 'bin')}:${process.env['PATH'] ?? ''}`, HOME: directory, LANG: 'C.UTF-8' },
      ...{ TERM: 'xterm', VMPOOL_URL: pool.url, VMPOOL_TOKEN_FILE: join(directory, 'token') },
    };
  });
  afterAll(async () => {
    await pool.server.close(1_000);
    rmSync(directory, { recursive: true, force: true });
  });

  /** Types the beginning and Tab into that shell on a pseudo-terminal, until the whole stands there. */
  const typed = async (shell: string, setUp: string, beginning: string, whole: string): Promise<void> => {
    const child = spawn('script', ['-q', '-f', '-c', `stty cols 200; ${shell}`, '/dev/null'], {
      ...{ cwd: directory, env, stdio: ['pipe', 'pipe', 'inherit'] },
    });
    const gone = new Promise((resolve) => child.once('close', resolve));
    let written = '';
    child.stdout?.on('data', (part: Buffer) => (written += part.toString()));
    // eslint-disable-next-line no-control-regex -- how terminals are painted
    const bare = (): string => written.replace(/\u001b\[[\d;?]*[a-zA-Z]|\u001b[=>]/g, '');
    try {
      child.stdin?.write(`${setUp} && printf 'set-up-%s\\n' 2\r`);
      await eventually('the shell to be set up', 60_000, () => written.includes('set-up-2'));
      written = '';
      child.stdin?.write(`${beginning}\t`);
      await eventually(`the whole of ${beginning}, and not ${bare()}`, 30_000, () => bare().includes(whole));
    } finally {
      child.kill('SIGKILL');
      await gone;
    }
  };

  it.each(beginnings)(
    '%s: in bash',
    async (_what, beginning, whole) => {
      await typed('bash --norc --noprofile -i', 'source <(vmpool completion bash)', beginning, whole);
    },
    120_000,
  );

  it.each(beginnings)(
    '%s: in zsh',
    async (_what, beginning, whole) => {
      const setUp = 'autoload -Uz compinit && compinit -D -u && source <(vmpool completion zsh)';
      await typed('zsh -f -i', setUp, beginning, whole);
    },
    120_000,
  );

  it.each(beginnings)(
    '%s: in fish',
    async (_what, beginning, whole) => {
      const asked = `vmpool completion fish | source; complete -C '${beginning}'`;
      const { stdout } = await run('fish', ['--private', '--no-config', '-c', asked], {
        cwd: directory,
        env,
      });
      const words = stdout.split('\n').map((line) => line.split('\t')[0] ?? '');
      expect(words).toContain(whole.trim().split(' ').at(-1));
    },
    120_000,
  );
});
