import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { quote } from '../../hooks/src/remote/quote.js';

/** A single word is a command line for the VM's shell; several are one command with its arguments, as with env(1). */
export const remoteCommand = (command: readonly string[]): string =>
  command.length === 1 ? (command[0] ?? '') : command.map(quote).join(' ');

export interface SshTarget {
  /** The caller's own, for the list of known hosts; the caller removes it. */
  readonly directory: string;
  readonly host: string;
  readonly port: number;
  /** As in known_hosts lines: type, blank, base64. No other is believed. */
  readonly hostKeys: readonly string[];
  readonly user: string;
  /** File with the private key. */
  readonly identity: string;
}

/** Arguments of OpenSSH's client; no file of the user or the machine has a say in them. */
export const sshArguments = (
  target: SshTarget,
  known: string,
  command: readonly string[],
  terminal: boolean,
): string[] => {
  const options = [
    `UserKnownHostsFile=${known}`,
    'GlobalKnownHostsFile=/dev/null',
    'StrictHostKeyChecking=yes',
    'IdentitiesOnly=yes',
    'BatchMode=yes',
    'ConnectTimeout=15',
    'ServerAliveInterval=15',
    'ServerAliveCountMax=4',
    'LogLevel=ERROR',
  ];
  return [
    ...['-F', '/dev/null', '-i', target.identity, '-p', String(target.port)],
    ...options.flatMap((option) => ['-o', option]),
    ...(terminal ? ['-t'] : []),
    ...['--', `${target.user}@${target.host}`],
    ...(command.length === 0 ? [] : [remoteCommand(command)]),
  ];
};

/**
 * ssh with this process's streams; no command is a login shell. Resolves with its exit code, 128 and the signal's
 * number when it was killed; the signal ends it. Rejects when ssh cannot be started.
 */
export const sshInto = (
  target: SshTarget,
  command: readonly string[],
  signal: AbortSignal,
): Promise<number> => {
  const known = join(target.directory, 'known_hosts');
  const host = target.port === 22 ? target.host : `[${target.host}]:${String(target.port)}`;
  writeFileSync(known, target.hostKeys.map((key) => `${host} ${key}\n`).join(''), { mode: 0o600 });
  const terminal = process.stdin.isTTY && process.stdout.isTTY;
  const child = spawn('ssh', sshArguments(target, known, command, terminal), { stdio: 'inherit' });
  const end = (): void => void child.kill('SIGTERM');
  if (signal.aborted) end();
  signal.addEventListener('abort', end, { once: true });
  return new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, killedBy) =>
      resolve(killedBy === null ? (code ?? 255) : 128 + constants.signals[killedBy]),
    );
  }).finally(() => signal.removeEventListener('abort', end));
};
