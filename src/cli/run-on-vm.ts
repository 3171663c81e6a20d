import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeKeyPair } from '../../hooks/src/ssh-key.js';
import type { Account } from '../../hooks/src/torque/account.js';
import { ProblemError, type Client } from '../http/client.js';
import { errorText } from '../store/files.js';
import { handJobId, handRequest, untilReady } from './hand-lease.js';
import { sshInto } from './ssh-into.js';
import { howLong } from './table.js';

export type RunEnd =
  { readonly kind: 'exit'; readonly code: number } | { readonly kind: 'failed'; readonly why: string };

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
  let exit: number | undefined;
  const directory = mkdtempSync(join(tmpdir(), 'vmpool-run-'));
  try {
    const keys = makeKeyPair(job);
    writeFileSync(join(directory, 'key'), keys.privateKey, { mode: 0o600 });
    const began = performance.now();
    const request = handRequest(job, user, keys.publicKey, command.join(' '), waitMs);
    const asked = await client.request(request, { waitSeconds: 2, until: 'ready', signal: stop.signal });
    const view = await untilReady(client, asked, waitMs, (detail) => tell(`waiting: ${detail}`), stop.signal);
    if (view.state === 'ended') return { kind: 'failed', why: `there is no VM to be had: ${view.detail}` };
    if (!view.ready || view.vm === null) {
      return { kind: 'failed', why: `no VM within ${howLong(waitMs)}: ${view.detail}` };
    }
    tell(`on ${view.vm.member} after ${howLong(performance.now() - began)}`);
    const code = await sshInto(
      { ...view.vm, directory, identity: join(directory, 'key') },
      command,
      stop.signal,
    );
    exit = code;
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
    await client
      .release({ job, reason: 'vmpool run has ended', ...(exit === undefined ? {} : { exit }) })
      .then(
        () => undefined,
        (error: unknown) =>
          tell(
            `the lease could not be given back (${errorText(error)}); end it with: vmpool release --job ${job}`,
          ),
      );
    for (const signal of signals) process.off(signal, onSignal);
  }
};
