import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { readSecretFile } from '../config/secret-file.js';
import type { Client } from '../http/client.js';
import { CliError, exitCodes } from './exit.js';
import type { World } from './world.js';

/** How the service is reached, once options, environment and files were looked at. */
export interface Access {
  readonly url: string;
  readonly token: string;
  readonly ca?: string;
  /** Only that one of the service's pools. */
  readonly pool?: string;
}

export interface AccessOptions {
  readonly url?: string;
  readonly tokenFile?: string;
  readonly ca?: string;
  readonly json?: boolean;
  readonly pool?: string;
}

const defaultUrl = 'http://127.0.0.1:8470';

/** Adds the options of every command that asks the service. */
export const withAccess = (command: Command): Command =>
  command
    .option('--url <url>', `address of the service (VMPOOL_URL; otherwise ${defaultUrl})`)
    .option('--token-file <file>', 'file that holds your token (VMPOOL_TOKEN_FILE)')
    .option('--ca <file>', "PEM of the CA that signed the service's certificate (VMPOOL_CA)");

/** Adds the option of every command that can look at one of several pools. */
export const withPool = (command: Command, otherwise = 'all'): Command =>
  command.option('--pool <name>', `of a service with several pools: which one (otherwise ${otherwise})`);

export const withJson = (command: Command): Command => command.option('--json', 'print JSON for programs');

/** Options first, then the environment. Throws `CliError` (usage) when there is no usable token. */
export const accessOf = (options: AccessOptions, env: World['env']): Access => {
  const given = (option: string | undefined, variable: string): string | undefined => {
    const value = option ?? env[variable];
    return value === undefined || value === '' ? undefined : value;
  };
  const url = given(options.url, 'VMPOOL_URL') ?? defaultUrl;
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new CliError(`${url} is not an address of the service: give http(s)://HOST:PORT`, exitCodes.usage);
  }
  const tokenFile = given(options.tokenFile, 'VMPOOL_TOKEN_FILE');
  if (tokenFile === undefined) {
    throw new CliError(
      'no token: name the file that holds yours with --token-file or VMPOOL_TOKEN_FILE',
      exitCodes.usage,
    );
  }
  const read = readSecretFile(tokenFile);
  if (!read.ok) throw new CliError(`the token cannot be used: ${read.message}`, exitCodes.usage);
  const ca = given(options.ca, 'VMPOOL_CA');
  return {
    ...{ url, token: read.secret },
    ...(ca === undefined ? {} : { ca: pemOf(ca) }),
    ...(options.pool === undefined ? {} : { pool: options.pool }),
  };
};

const pemOf = (file: string): string => {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new CliError(
      `the CA file cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      exitCodes.usage,
    );
  }
};

/** Asks the service and closes the connection, whatever comes of it. */
export const asking = async <T>(
  world: World,
  options: AccessOptions,
  ask: (client: Client) => Promise<T>,
): Promise<T> => {
  const client = world.connect(accessOf(options, world.env));
  try {
    return await ask(client);
  } finally {
    client.close();
  }
};
