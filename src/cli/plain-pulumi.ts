import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { delimiter } from 'node:path';
import type { Config } from '../config/load.js';
import { enginePlainEnv, stacksDirectory, type PlainEnvironment } from '../engine/environment.js';
import { personalPulumiHome } from '../engine/home.js';
import { engineOptionsSchema } from '../engine/options.js';
import { cloudEnvironment } from '../service/environment.js';
import { engineOptions } from '../service/parts.js';

type Env = Readonly<Record<string, string | undefined>>;

/** Looks of the command line do not depend on the installation, which may not exist yet. */
const anyInstallation = '00000000-0000-4000-8000-000000000000';

/** Of the caller's environment; NODE_OPTIONS and the like would change what the program does. */
const passedOn = [
  ...['HOME', 'LANG', 'PATH', 'TMPDIR', 'USER', 'SSL_CERT_FILE', 'SSL_CERT_DIR'],
  ...['HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY', 'https_proxy', 'http_proxy', 'no_proxy'],
];

/** Pulumi's plain command line, run as the service's own engine would run it. */
export interface PlainPulumi {
  readonly bin: string;
  readonly pool: string;
  /** What a person must set and pass to see that stack: never a credential. */
  plain(stack: string): PlainEnvironment;
  /** Names of the pool's cells' stacks, as the service last wrote them. */
  cells(): readonly string[];
  /** Those of the services that follow the nodes. */
  services(): readonly string[];
  /** Runs one command from the installation's root, with the cloud's credentials. */
  run(args: readonly string[], signal: AbortSignal): Promise<PulumiResult>;
}

export interface PulumiResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Throws when the engine is not installed. */
export const plainPulumi = async (config: Config, env: Env): Promise<PlainPulumi> => {
  const input = await engineOptions(
    config,
    anyInstallation as Parameters<typeof engineOptions>[1],
    env,
    (installed) => personalPulumiHome(installed, env),
  );
  const options = engineOptionsSchema.parse(input);
  const written = (name: string): readonly string[] => {
    const directory = stacksDirectory(config.stateDir);
    if (!existsSync(directory)) return [];
    const file = new RegExp(`^Pulumi\\.(${config.pool}-${name})\\.yaml$`);
    return readdirSync(directory)
      .flatMap((entry) => file.exec(entry)?.[1] ?? [])
      .sort();
  };
  const plain = (stack: string): PlainEnvironment => {
    const full = enginePlainEnv(options, stack);
    // The pool's own stack is the operators': its config is in their checkout, not in the state directory.
    return stack === config.pool ? { ...full, arguments: ['--stack', stack] } : full;
  };
  return {
    bin: options.pulumi.bin,
    pool: config.pool,
    plain,
    cells: () => written('c\\d+'),
    services: () => written('svc-[a-z][a-z0-9-]*'),
    run: (args, signal) => {
      const { environment, directory } = plain(config.pool);
      const own = Object.fromEntries(
        passedOn.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])),
      );
      return runToEnd(
        options.pulumi.bin,
        args,
        directory,
        {
          ...own,
          ...cloudEnvironment(config, env),
          ...environment,
          PATH: [environment['PATH'], own['PATH']].filter((part) => part !== undefined).join(delimiter),
        },
        signal,
      );
    },
  };
};

/** After the signal, SIGINT lets Pulumi end cleanly; what still runs then is killed. Milliseconds. */
const killAfterMs = 10_000;

const runToEnd = (
  bin: string,
  args: readonly string[],
  cwd: string,
  env: Record<string, string | undefined>,
  signal: AbortSignal,
): Promise<PulumiResult> =>
  new Promise((resolve, reject) => {
    const child = spawn(bin, [...args, '--non-interactive', '--color', 'never'], {
      cwd,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let kill: NodeJS.Timeout | undefined;
    const abort = (): void => {
      child.kill('SIGINT');
      kill = setTimeout(() => child.kill('SIGKILL'), killAfterMs);
    };
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
    const [out, err]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on('data', (part: Buffer) => out.push(part));
    child.stderr.on('data', (part: Buffer) => err.push(part));
    const settle = (): void => {
      clearTimeout(kill);
      signal.removeEventListener('abort', abort);
    };
    child.once('error', (error) => {
      settle();
      reject(error);
    });
    child.once('close', (code) => {
      settle();
      resolve({
        code: code ?? 255,
        stdout: Buffer.concat(out).toString('utf8'),
        stderr: Buffer.concat(err).toString('utf8'),
      });
    });
  });
