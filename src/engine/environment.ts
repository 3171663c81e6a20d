import { delimiter, dirname, join } from 'node:path';
import type { EngineOptions } from './options.js';

/**
 * Every process of an engine carries this variable with `<installation>/<pool>`. By it alone a later engine
 * knows the processes that an earlier, killed one left behind.
 */
export const markVariable = 'VMPOOL_ENGINE_MARK';

/** Tells the processes of one `pulumi` from those of the others of the same engine. */
export const runVariable = 'VMPOOL_ENGINE_RUN';

export const markOf = (options: Pick<EngineOptions, 'installation' | 'pool'>): string =>
  `${options.installation}/${options.pool}`;

/** What the engine takes over from the service's own environment; the rest (NODE_OPTIONS...) stays out. */
const inherited = [
  'HOME',
  'LANG',
  'LC_ALL',
  'LOGNAME',
  'PATH',
  'SSL_CERT_DIR',
  'SSL_CERT_FILE',
  'TMPDIR',
  'TZ',
  'USER',
  'HTTPS_PROXY',
  'HTTP_PROXY',
  'NO_PROXY',
  'https_proxy',
  'http_proxy',
  'no_proxy',
];

/** Environment of the engine process and so of every `pulumi` and plugin that it starts. */
export const engineEnvironment = (
  options: EngineOptions,
  own: Readonly<Record<string, string | undefined>>,
): Record<string, string> => {
  const environment: Record<string, string> = {};
  for (const name of inherited) {
    const value = own[name];
    if (value !== undefined) {
      environment[name] = value;
    }
  }
  return {
    ...environment,
    ...options.cloudEnv,
    ...pulumiEnvironment(options, own['PATH']),
    PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS: 'true',
    // The CLI writes a log of each command into PULUMI_HOME and keeps a week of them, up to 500 MB.
    PULUMI_LOG_ROTATION_MAX_AGE_DAYS: '2',
    PULUMI_LOG_ROTATION_MAX_TOTAL_MB: '32',
    [markVariable]: markOf(options),
  };
};

const pulumiEnvironment = (options: EngineOptions, path: string | undefined): Record<string, string> => ({
  PATH: [dirname(options.pulumi.bin), path ?? ''].filter((part) => part !== '').join(delimiter),
  PULUMI_BACKEND_URL: options.backendUrl,
  PULUMI_HOME: options.pulumi.home,
  PULUMI_CONFIG_PASSPHRASE_FILE: options.passphraseFile,
  PULUMI_SKIP_UPDATE_CHECK: 'true',
  PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: 'true',
});

export interface PlainEnvironment {
  /** To be set; `PATH` holds only the part to put before the caller's own. Never a credential. */
  readonly environment: Readonly<Record<string, string>>;
  /** For `pulumi preview` and its like. */
  readonly arguments: readonly string[];
  /** Where to run it. */
  readonly directory: string;
}

/**
 * What the plain command line needs to see a stack of this pool as the service's engine sees it. The cloud's
 * credentials are the caller's own (environment or `clouds.yaml`).
 */
export const enginePlainEnv = (options: EngineOptions, stack: string): PlainEnvironment => ({
  environment: pulumiEnvironment(options, undefined),
  arguments: ['--stack', stack, '--config-file', stackConfigPath(options.stateDir, stack)],
  directory: options.repoRoot,
});

/** `<stateDir>/engine/stacks`: working directory of the engine's Pulumi, with the config of its stacks. */
export const stacksDirectory = (stateDir: string): string => join(stateDir, 'engine', 'stacks');

export const stackConfigPath = (stateDir: string, stack: string): string =>
  join(stacksDirectory(stateDir), `Pulumi.${stack}.yaml`);
