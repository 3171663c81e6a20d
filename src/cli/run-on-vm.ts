import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { quote } from '../../hooks/src/remote/quote.js';
import { makeKeyPair } from '../../hooks/src/ssh-key.js';
import type { Account } from '../../hooks/src/torque/account.js';
import type { LeaseView } from '../http/api.js';
import { ProblemError, type Client } from '../http/client.js';
import { errorText } from '../store/files.js';
import { handJobId, handRequest, untilReady } from './hand-lease.js';
import { howLong } from './table.js';

export type RunEnd =
  { readonly kind: 'exit'; readonly code: number } | { readonly kind: 'failed'; readonly why: string };

/** A single word is a command line for the VM's shell; several are one command with its arguments, as with env(1). */
export const remoteCommand = (command: readonly string[]): string =>
  command.length === 1 ? (command[0] ?? '') : command.map(quote).join(' ');

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Leases a VM with a key of its own, runs the command over ssh with this process's streams and gives the VM back
 * whatever happens. A signal ends the ssh (and with the VM's scrub, the command), then the lease.
 */
export const runOnVm = async (
  client: Client,
  user: Account,
  command: readonly string[],
  waitMs: number,
  tell: (text: string) => void,
): Promise<RunEnd> => {
  const stop = new AbortController();
  const received: NodeJS.Signals[] = [];
  const onSignal = (signal: NodeJS.Signals): void => {
    received.push(signal);
    stop.abort();
  };
  const stopped = (): RunEnd | null => {
    const [first] = received;
    return first === undefined ? null : { kind: 'exit', code: 128 + constants.signals[first] };
  };
  for (const signal of signals) process.on(signal, onSignal);
  const job = handJobId();
  const directory = mkdtempSync(join(tmpdir(), 'vmpool-run-'));
  try {
    const keys = makeKeyPair(job);
    writeFileSync(join(directory, 'key'), keys.privateKey, { mode: 0o600 });
    const began = performance.now();
    const request = handRequest(job, user, keys.publicKey, command.join(' '));
    const asked = await client.request(request, { waitSeconds: 2, until: 'ready', signal: stop.signal });
    const view = await untilReady(client, asked, waitMs, (detail) => tell(`waiting: ${detail}`), stop.signal);
    if (view.state === 'ended') return { kind: 'failed', why: `there is no VM to be had: ${view.detail}` };
    if (!view.ready || view.vm === null) {
      return { kind: 'failed', why: `no VM within ${howLong(waitMs)}: ${view.detail}` };
    }
    tell(`on ${view.vm.member} after ${howLong(performance.now() - began)}`);
    const code = await ssh(directory, view.vm, command, stop.signal);
    return stopped() ?? { kind: 'exit', code };
  } catch (error) {
    const byUs = stopped();
    if (byUs !== null) return byUs;
    return {
      kind: 'failed',
      why: error instanceof ProblemError ? `the service refused: ${error.problem.detail}` : errorText(error),
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
    // By the job's name: a request whose answer was lost is ended as well.
    await client.release({ job, reason: 'vmpool run has ended' }).then(
      () => undefined,
      (error: unknown) =>
        tell(
          `the lease could not be given back (${errorText(error)}); end it with: vmpool release --job ${job}`,
        ),
    );
    for (const signal of signals) process.off(signal, onSignal);
  }
};

const ssh = (
  directory: string,
  vm: NonNullable<LeaseView['vm']>,
  command: readonly string[],
  signal: AbortSignal,
): Promise<number> => {
  const known = join(directory, 'known_hosts');
  const host = vm.port === 22 ? vm.host : `[${vm.host}]:${String(vm.port)}`;
  writeFileSync(known, vm.hostKeys.map((key) => `${host} ${key}\n`).join(''), { mode: 0o600 });
  const terminal = process.stdin.isTTY && process.stdout.isTTY;
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
  const child = spawn(
    'ssh',
    [
      ...['-F', '/dev/null', '-i', join(directory, 'key'), '-p', String(vm.port)],
      ...options.flatMap((option) => ['-o', option]),
      ...(terminal ? ['-t'] : []),
      ...['--', `${vm.user}@${vm.host}`, remoteCommand(command)],
    ],
    { stdio: 'inherit' },
  );
  const end = (): void => void child.kill('SIGTERM');
  if (signal.aborted) end();
  signal.addEventListener('abort', end, { once: true });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, killedBy) =>
      resolve(killedBy === null ? (code ?? 255) : 128 + constants.signals[killedBy]),
    );
  }).finally(() => signal.removeEventListener('abort', end)) as Promise<number>;
};
