import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { userInfo } from 'node:os';
import { lookUpAccount, type Account } from '../../hooks/src/torque/account.js';
import { errorText } from '../store/files.js';
import { CliError, exitCodes } from './exit.js';

/** The account that a hand-made lease is for: the named one, or who calls. Throws `CliError` (usage). */
export const jobUserOf = async (name: string | undefined): Promise<Account> => {
  try {
    return await lookUpAccount(name ?? userInfo().username);
  } catch (error) {
    throw new CliError(
      name === undefined
        ? `your account cannot be looked up (${errorText(error)}): name one with --user`
        : `there is no account ${name} on this machine: ${errorText(error)}`,
      exitCodes.usage,
    );
  }
};

/** `ssh` as this machine has it; throws `CliError` when it has none. */
export const requireSsh = async (): Promise<void> => {
  try {
    await promisify(execFile)('ssh', ['-V']);
  } catch {
    throw new CliError('there is no ssh on this machine: install the OpenSSH client');
  }
};
