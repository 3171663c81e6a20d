import { readFileSync, statSync } from 'node:fs';
import { chmod, chown } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { parseConfig } from '../../config/load.js';
import { readSecretFile } from '../../config/secret-file.js';
import { newToken, tokenHash, withHashedTokens } from '../../config/tokens.js';
import { nodeFiles, replaceFile } from '../../store/files.js';
import { withJson } from '../access.js';
import { configFileOf, wholeConfigOf, withConfig, type ConfigOptions } from '../configured.js';
import { CliError, exitCodes } from '../exit.js';
import { writeNewFile } from '../new-file.js';
import type { World } from '../world.js';

interface NewOptions {
  readonly name: string;
  readonly role: 'worker' | 'operator' | 'viewer';
  readonly worker?: string;
  readonly out?: string;
  readonly json?: boolean;
}

interface MigrateOptions extends ConfigOptions {
  readonly json?: boolean;
}

/** Tokens of the service's configuration: made, hashed, and moved from files to hashes. */
export const tokenCommand = (world: World): Command =>
  new Command('token')
    .description('tokens of the HTTP API')
    .addCommand(
      withJson(new Command('new'))
        .description("make a token and the entry for the service's configuration, which holds its hash alone")
        .requiredOption('-n, --name <name>', 'its name in the log')
        .addOption(
          new Option('-r, --role <role>', 'what it may do')
            .choices(['worker', 'operator', 'viewer'])
            .makeOptionMandatory(),
        )
        .option('-w, --worker <node>', 'the Torque node that uses it (role worker)')
        .option(
          '-o, --out <file>',
          'write the token to a new file that only you can read (otherwise printed)',
        )
        .action((options: NewOptions) => make(world, options)),
    )
    .addCommand(
      withJson(new Command('hash'))
        .description('the hash of a token that is in a file')
        .argument('<file>', 'the token, in a file that is not open to other users')
        .action((file: string, { json = false }: { readonly json?: boolean }) => {
          const read = readSecretFile(file);
          if (!read.ok) throw new CliError(read.message, exitCodes.usage);
          const sha256 = tokenHash(read.secret);
          world.terminal.out(json ? JSON.stringify({ sha256 }) : `sha256: ${sha256}`);
        }),
    )
    .addCommand(
      withJson(withConfig(new Command('migrate')))
        .description(
          "put hashes in the place of the files and variables of tokens in the service's configuration",
        )
        .action((options: MigrateOptions) => migrate(world, options)),
    );

const make = (world: World, { name, role, worker, out, json = false }: NewOptions): void => {
  if ((role === 'worker') !== (worker !== undefined)) {
    throw new CliError(
      '--worker names the node of a token with the role worker, and of no other',
      exitCodes.usage,
    );
  }
  const token = newToken();
  if (out !== undefined) writeNewFile(out, `${token}\n`, 'the token');
  if (json) {
    const entry = { name, role, ...(worker === undefined ? {} : { worker }), sha256: tokenHash(token) };
    const told = out === undefined ? { token, entry } : { tokenFile: out, entry };
    world.terminal.out(JSON.stringify(told, null, 2));
    return;
  }
  if (out === undefined) world.terminal.out(`token: ${token}`);
  world.terminal.out(
    [
      'Entry for auth.tokens:',
      `  - name: ${JSON.stringify(name)}`,
      `    role: ${role}`,
      ...(worker === undefined ? [] : [`    worker: ${JSON.stringify(worker)}`]),
      `    sha256: ${tokenHash(token)}`,
    ].join('\n'),
  );
};

const migrate = async (world: World, options: MigrateOptions): Promise<void> => {
  const file = configFileOf(options, world.env);
  const { auth } = wholeConfigOf(options, world);
  const { text, changed } = withHashedTokens(readFileSync(file, 'utf8'), auth.tokens);
  if (changed.length === 0) {
    world.terminal.out(
      options.json === true ? JSON.stringify({ hashed: [] }) : 'Every token is hashed already.',
    );
    return;
  }
  // Nothing is written that would let in anybody else than before.
  const after = parseConfig(text, dirname(resolve(file)), world.env);
  if (!after.ok || JSON.stringify(after.config.auth) !== JSON.stringify(auth)) {
    throw new CliError(
      `${file} could not be rewritten safely and was left as it is: put the lines of \`vmpool token hash\` into it by hand`,
    );
  }
  const { mode, uid, gid } = statSync(file);
  await replaceFile(nodeFiles, file, text);
  await chmod(file, mode & 0o777);
  if (process.getuid?.() === 0) await chown(file, uid, gid);
  world.terminal.out(
    options.json === true
      ? JSON.stringify({ hashed: changed })
      : `Hashed: ${changed.join(', ')}. The service takes it over at SIGHUP. Their files and variables here are no longer read: remove them once those who use the tokens have them.`,
  );
};
