import { join } from 'node:path';
import type { WorkerConfig } from '../config.js';
import { alive, bootId, statOf, type ProcessId } from '../processes.js';
import { readPlain } from '../spool/files.js';
import { readTicket, type LeaseTicket } from '../spool/lease-files.js';
import { Spool } from '../spool/spool.js';

export type Admission =
  | { readonly kind: 'job' | 'task'; readonly ticket: LeaseTicket; readonly attemptDirectory: string }
  /** `again`: through no fault of the job, so that another start may be worth it. */
  | { readonly kind: 'refused'; readonly why: string; readonly again: boolean };

const namedAttempt = /^(\d+)-(\d+)$/;

/**
 * May this process run something of the job? The job itself: only in the very session that the prologue recorded
 * (the starter's pid and start time, which is the name of the attempt's directory). A task of pbsdsh has a
 * session of its own: it is let in while the starter of the job's latest attempt lives, and only if it is
 * younger than that, so that the orphan of an older attempt is never taken for one.
 */
export function admit(config: WorkerConfig, job: string, looksLikeTask: boolean): Admission {
  const self = statOf('self');
  const leader = self === null ? null : statOf(self.session);
  if (leader === null) return refused('the leader of this session is gone: its job has ended', false);
  const spool = new Spool(config.spool);
  const own = spool.attemptDirectory(job, leader);
  const ticket = readTicket(own);
  if (ticket !== null)
    return ticket.job === job
      ? { kind: 'job', ticket, attemptDirectory: own }
      : refused(`the lease found is for job ${ticket.job}`, false);
  const latest = namedAttempt.exec(readPlain(join(spool.jobDirectory(job), 'latest'))?.trim() ?? '');
  if (latest === null)
    return refused(
      `no prologue asked for a VM for job ${job} (or its epilogue has been here already)`,
      false,
    );
  const starter: ProcessId = { pid: Number(latest[1]), ticks: Number(latest[2]) };
  if (starter.pid === leader.pid && starter.ticks === leader.ticks)
    return refused(
      `the prologue of job ${job} did not come to its end, or the job has been ended since`,
      true,
    );
  if (!looksLikeTask || starter.ticks > leader.ticks)
    return refused(
      `session ${leader.pid} is not the one that the prologue of job ${job} recorded (${starter.pid}): a stale start`,
      false,
    );
  const directory = spool.attemptDirectory(job, starter);
  const theirs = alive(starter) ? readTicket(directory) : null;
  if (theirs?.job !== job) return refused(`job ${job} has no live lease here (boot ${bootId()})`, false);
  return { kind: 'task', ticket: theirs, attemptDirectory: directory };
}

const refused = (why: string, again: boolean): Admission => ({ kind: 'refused', why, again });
