import type { WorkerConfig } from '../config.js';
import { ServiceClient, type VmView } from '../service-client.js';
import type { LeaseTicket } from '../spool/lease-files.js';

export type Waited =
  | { readonly kind: 'ready'; readonly vm: VmView }
  | { readonly kind: 'refused'; readonly why: string }
  /** No VM now; the job has not begun, and can be started again. */
  | { readonly kind: 'again'; readonly why: string };

/** At most `maxWait`, and some of the walltime must be left to say so before Torque ends the job. */
export function waitLimitMs(maxWaitMs: number, walltimeSeconds: number | null): number {
  if (walltimeSeconds === null || walltimeSeconds <= 0) return maxWaitMs;
  const walltimeMs = walltimeSeconds * 1000;
  const margin = Math.min(60_000, Math.max(2000, walltimeMs / 10));
  return Math.max(0, Math.min(maxWaitMs, walltimeMs - margin));
}

/** Asks with the lease's own capability, which also proves that the lease is live and this job's. */
export async function waitForVm(
  config: WorkerConfig,
  ticket: LeaseTicket,
  say: (message: string) => void,
  signal: AbortSignal,
): Promise<Waited> {
  const client = new ServiceClient(ticket.service.url, ticket.service.caFile, ticket.capability);
  const limit = waitLimitMs(config.maxWaitMs, ticket.walltimeSeconds);
  const began = performance.now();
  let said = '';
  let saidAt = -Infinity;
  // What is over in a moment is not worth a line on the job's stderr.
  let pollMs = 2000;
  let pauseMs = 250;
  for (;;) {
    const restMs = limit - (performance.now() - began);
    const answer = await client.lease(ticket.lease, Math.max(0, Math.min(pollMs, restMs)), 'ready', signal);
    signal.throwIfAborted();
    let state: string;
    // A store that was put back from a copy, or lost, does not know what had been asked since.
    if (answer.kind === 'problem' && answer.code === 'not-found')
      return {
        kind: 'again',
        why: `the lease service has no record of lease ${ticket.lease} any more; gave up, so that the job can be started again`,
      };
    if (answer.kind === 'problem')
      return {
        kind: 'refused',
        why: `lease ${ticket.lease} is not to be had (${answer.code}): ${answer.detail}`,
      };
    if (answer.kind === 'done') {
      const { value } = answer;
      if (value.state === 'ended') return { kind: 'refused', why: `its lease has ended: ${value.detail}` };
      if (value.state === 'granted' && value.ready && value.vm !== null) {
        if (said !== '') say(`VM ${value.vm.member} is ready`);
        return { kind: 'ready', vm: value.vm };
      }
      state =
        value.state === 'granted'
          ? `VM ${value.vm?.member ?? ''} to be made ready`
          : `a VM${value.position === null ? '' : ` (place ${value.position} in the line)`}`;
      state += value.detail === '' ? '' : `: ${value.detail}`;
      pauseMs = 250;
    } else {
      state = `the lease service: ${answer.why}`;
      await new Promise((resolve) => setTimeout(resolve, Math.min(pauseMs, Math.max(0, restMs))));
      pauseMs = Math.min(pauseMs * 2, 10_000);
    }
    const now = performance.now();
    if (now - began >= limit)
      return {
        kind: 'again',
        why: `waited ${Math.round((now - began) / 1000)} s for ${state}; gave up, so that the job can be started again`,
      };
    if (state !== said && now - saidAt > 10_000) {
      say(`waiting for ${state}`);
      said = state;
      saidAt = now;
    }
    pollMs = 25_000;
  }
}
