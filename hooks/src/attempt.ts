import type { LeaseRequest } from '../../src/http/api.js';
import type { AttemptRecord } from './spool/spool.js';

/** The attempt as the service knows it. */
export const attemptOf = (record: AttemptRecord): LeaseRequest['attempt'] => ({
  start: record.start,
  boot: record.boot,
  pid: record.starter.pid,
  ticks: record.starter.ticks,
});

export const releaseOf = (record: AttemptRecord): { job: string; attempt: LeaseRequest['attempt'] } => ({
  job: record.job,
  attempt: attemptOf(record),
});
