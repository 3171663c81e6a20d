import { randomBytes } from 'node:crypto';
import { bootId, statOf } from '../../hooks/src/processes.js';
import type { Account } from '../../hooks/src/torque/account.js';
import type { LeaseAnswer, LeaseRequest, LeaseView } from '../http/api.js';
import type { Client } from '../http/client.js';

/** A name for a job that no batch system knows: `hand-<pid>-<letters>`. */
export const handJobId = (): string => `hand-${String(process.pid)}-${randomBytes(3).toString('hex')}.vmpool`;

/** The request of a job that a person makes: the attempt is this process. With `maxWaitMs` it is given up after that. */
export const handRequest = (
  job: string,
  user: Account,
  publicKey: string,
  jobName: string,
  maxWaitMs?: number,
): LeaseRequest => ({
  job,
  attempt: { start: 1, boot: bootId(), pid: process.pid, ticks: statOf(process.pid)?.ticks ?? 0 },
  user: {
    name: user.name,
    uid: user.uid,
    gid: user.gid,
    groups: user.groups.map(({ name, gid }) => ({ name, gid })),
    home: user.home,
    shell: user.shell,
  },
  publicKey,
  processors: 1,
  queue: '',
  jobName: jobName.slice(0, 4096),
  ...(maxWaitMs === undefined ? {} : { maxWaitSeconds: Math.ceil(maxWaitMs / 1000) }),
});

/** One long poll lasts so many seconds at most: the service cuts longer ones. */
const pollSeconds = 25;

/**
 * Waits until the VM of a lease is ready, the lease has ended, or the time is over; tells each new reason once.
 * Resolves with the last view.
 */
export const untilReady = async (
  client: Client,
  first: LeaseAnswer,
  limitMs: number,
  tell: (detail: string) => void,
  signal: AbortSignal,
): Promise<LeaseView> => {
  const end = performance.now() + limitMs;
  let view: LeaseView = first;
  let told = '';
  for (;;) {
    const restSeconds = (end - performance.now()) / 1000;
    if (view.state === 'ended' || view.ready || restSeconds <= 0) return view;
    if (view.detail !== told) tell(view.detail);
    told = view.detail;
    const waitSeconds = Math.ceil(Math.min(told === '' ? 1 : pollSeconds, restSeconds));
    view = await client.lease(first.id, { waitSeconds, until: 'ready', signal });
  }
};
