/** The benchmarks by name: what each measures, and what makes its rows. Loaded when they run. */
const scale = () => import('./scale/rows.mjs');
const members = 1_000;

/**
 * `rows(smoke)` resolves with measured rows. `smoke`: also part of the guard, which runs within a minute. `minutes`: about,
 * on two cores.
 */
export const groups = {
  lease: {
    about: 'leases of Free VMs over 1,000 members, one caller and many',
    ...{ minutes: 1, smoke: true },
    rows: async (smoke) =>
      (await scale()).leaseRows({ members, singles: smoke ? 150 : 400, pairs: smoke ? 800 : 4_000 }),
  },
  restart: {
    about: 'restart with 1,000 leases',
    ...{ minutes: 1, smoke: true },
    rows: async () => (await scale()).restartRows({ members }),
  },
  idle: {
    about: 'nothing happens over 1,000 members: the service alone',
    ...{ minutes: 1, smoke: true },
    rows: async (smoke) => (await scale()).idleRows({ members, seconds: smoke ? 10 : 60 }),
  },
  leases: {
    about: '100,000 leases, one after the other: what grows',
    minutes: 8,
    rows: async () => (await scale()).growthRows({ members: 100, leases: 100_000 }),
  },
  request: {
    about: 'no VM is Free: request to POST /servers, among 10, 100 and 1,000 members',
    minutes: 12,
    rows: async () => (await import('./vms/request.mjs')).requestRows(),
  },
  grant: {
    about: 'ACTIVE and SSH answers to the grant',
    minutes: 8,
    rows: async () => (await import('./vms/grant.mjs')).grantRows(),
  },
};
