import type { StatusView } from './api.js';
import type { Identity } from './authenticate.js';

/** What that caller may see of the status: a worker nothing of other workers' jobs and users. */
export const statusFor = (status: StatusView, identity: Identity): StatusView => {
  if (identity.role !== 'worker') return status;
  const { worker } = identity;
  return {
    ...status,
    // In free text others' jobs may be named.
    problems:
      status.problems.length === 0
        ? []
        : [`${String(status.problems.length)} problem(s): shown with a viewer's or operator's token`],
    members: status.members.map((member) =>
      member.job?.worker === worker ? member : { ...member, job: null, detail: '', retiring: null },
    ),
    requests: status.requests.filter((request) => request.worker === worker),
    leases: status.leases.filter((lease) => lease.worker === worker),
    cells: status.cells.map((cell) => ({ ...cell, lastError: null })),
    workers: status.workers.filter(({ name }) => name === worker),
  };
};
