/** The benchmarks by name: what each measures, and what makes its rows. Loaded when they run. */
const scale = () => import('./scale/rows.mjs');
const growth = () => import('./vms/growth.mjs');
const members = 1_000;

/**
 * `rows(smoke)` resolves with measured rows. `smoke`: also part of the guard, which runs within a minute. `minutes`: about,
 * on two cores. `onRequest`: only when it is named.
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
  'lease-growth': {
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
  hooks: {
    about: 'prologue, job starter and epilogue of a job on a Free VM',
    minutes: 6,
    rows: async () => (await import('./vms/hooks.mjs')).hookRows(),
  },
  'compare-20': {
    about: '0 to 20 VMs: our pool, one plain pulumi up, plain calls',
    minutes: 3,
    rows: async () => (await growth()).growthRows({ n: 20, bootMs: 0, plain: true }),
  },
  arrivals: {
    about: 'one request a second for five minutes on an empty pool, boot 20 s',
    minutes: 9,
    rows: async () => (await import('./vms/arrivals.mjs')).arrivalRows(),
  },
  'arrivals-16': {
    about: 'the same with 16 cells at once, as a machine with 8 GB and two pools has',
    minutes: 9,
    rows: async () => (await import('./vms/arrivals.mjs')).arrivalRows({ parallel: 16 }),
  },
  stuck: {
    about: 'one VM stuck in BUILD, one up that hangs: delay to other requests',
    minutes: 8,
    rows: async () => (await import('./vms/stuck.mjs')).stuckRows(),
  },
  'idle-all': {
    about:
      'nothing happens for five minutes among 10, 100 and 1,000 members: all processes, calls of the cloud',
    minutes: 14,
    rows: async () => (await import('./vms/idle.mjs')).idleAllRows(),
  },
  'update-growth': {
    about: '300 updates of cells, one after the other: what grows',
    minutes: 30,
    rows: async () => (await import('./vms/updates.mjs')).updateRows(),
  },
  'grow-200': {
    about: '0 to 200 VMs beside one plain pulumi up and plain calls',
    minutes: 15,
    rows: async () => (await growth()).growthRows({ n: 200, bootMs: 0, plain: true }),
  },
  'grow-200-16': {
    about: 'the same with 16 cells at once',
    minutes: 4,
    rows: async () => (await growth()).growthRows({ n: 200, bootMs: 0, plain: false, parallel: 16 }),
  },
  'grow-200-boot': {
    about: '0 to 200 VMs, boot 5 s, beside plain calls',
    minutes: 5,
    rows: async () => (await growth()).growthRows({ n: 200, bootMs: 5_000, plain: false }),
  },
  'grow-1000': {
    about: '0 to 1,000 VMs beside one plain pulumi up and plain calls; only when it is named',
    ...{ minutes: 60, onRequest: true },
    rows: async () => (await growth()).growthRows({ n: 1_000, bootMs: 0, plain: true }),
  },
};
