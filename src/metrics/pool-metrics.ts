import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import { updateFailures, type UpdateFailure } from '../engine/port.js';
import type { Note, Spent, State } from '../pool/book.js';
import { membersOf } from '../pool/book.js';
import { isOpen } from '../pool/breaker.js';
import { cellSight, cellsOf } from '../pool/engine-events.js';
import { vmFailures } from '../pool/failures.js';
import { waiting } from '../pool/leases.js';
import { jobEnds } from '../pool/measured.js';
import type { Millis } from '../pool/model.js';
import { quotaLines } from '../pool/quota.js';

/** What the figures of one moment are taken from. */
export interface MetricsView {
  readonly state: State;
  readonly now: Millis;
  readonly breakerAfter: number;
  /** Null while the store commits. */
  readonly storeProblem: string | null;
}

/** Waits of jobs: from at once to the hours of a full pool. */
const waitBuckets = [0.01, 0.05, 0.25, 1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 14_400];
const shortBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const longBuckets = [0.5, 1, 2, 5, 10, 15, 20, 30, 45, 60, 120, 300, 600, 1800];
/** 64 MiB to 1 TiB. */
const memoryBuckets = [6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20].map((power) => 2 ** (20 + power));

/** `ok`, or why not as the guest part says it. */
const scrubOutcomes = ['ok', 'unreachable', 'dirty', 'foreign-marker'] as const;

const seconds = (ms: Millis): number => ms / 1000;

/**
 * The event loop's delay is sampled by a timer of this period. At prom-client's 10 ms that timer was most of what an idle
 * service used; what holds up jobs is much longer than this.
 */
const eventLoopSampleMs = 250;

/**
 * The figures of one pool, for Prometheus. Names and units follow its conventions (base units, `_total`,
 * `_seconds`); every series has the label `pool`. What is so now is read at each scrape, so that nothing can drift
 * from the state; what happens is counted as it is told.
 */
export class PoolMetrics {
  readonly registry = new Registry();

  private readonly members = this.gauge('vmpool_members', 'VMs by state; Unusable ones with their reason.', [
    'state',
    'reason',
  ]);
  private readonly outdated = this.gauge(
    'vmpool_members_outdated',
    'VMs whose spec is not that of the pool any more.',
  );
  private readonly limit = this.gauge('vmpool_size_limit', 'The adopted shape: bound is min, max or spare.', [
    'bound',
  ]);
  private readonly leases = this.gauge('vmpool_leases', 'Leases that live.');
  private readonly waiting = this.gauge('vmpool_requests_waiting', 'Requests that wait for a VM.');
  private readonly oldest = this.gauge(
    'vmpool_oldest_request_age_seconds',
    'Age of the oldest waiting request; 0 when none waits.',
  );
  private readonly breakerOpen = this.gauge(
    'vmpool_breaker_open',
    '1 while new VMs fail so often that Torque gets no node without a Free one.',
  );
  private readonly createFailures = this.gauge(
    'vmpool_create_failures_in_a_row',
    'Failed creates since the last success.',
  );
  private readonly cellErrors = this.gauge('vmpool_cells_failing', 'Cells whose last update failed.');
  private readonly cellsRunning = this.gauge('vmpool_cells_running', 'Cells with an update under way.');
  private readonly cloudUp = this.gauge('vmpool_cloud_up', '1 while the cloud answers.');
  private readonly quota = this.gauge(
    'vmpool_quota',
    "The project's quota as last read: bound is used or limit, what is instances, cores, ramMiB, ports, floatingIps, volumes or volumeGiB. Unlimited ones have no limit.",
    ['what', 'bound'],
  );
  private readonly storeUp = this.gauge('vmpool_store_up', '1 while the store commits.');
  private readonly workerSync = this.gauge(
    'vmpool_worker_sync_age_seconds',
    'Time since a worker last told which jobs it has.',
    ['worker'],
  );

  private readonly wait = this.histogram(
    'vmpool_lease_wait_seconds',
    'From a request to its grant.',
    waitBuckets,
  );
  private readonly stage = this.histogram(
    'vmpool_lease_stage_seconds',
    'From a grant to ready: account, key and marker are on the VM.',
    shortBuckets,
  );
  private readonly boot = this.histogram(
    'vmpool_member_boot_seconds',
    'From the decision to have a VM to its first Free.',
    longBuckets,
  );
  private readonly ended = this.counter('vmpool_leases_ended_total', 'Leases that have ended.', ['queue']);
  private readonly used = this.counter(
    'vmpool_lease_vm_seconds_total',
    'Time for which ended leases had their VM.',
    ['queue'],
  );
  private readonly jobs = this.counter(
    'vmpool_jobs_ended_total',
    'Jobs whose lease has ended, by how they ended.',
    ['queue', 'end'],
  );
  private readonly cpu = this.counter(
    'vmpool_job_cpu_seconds_total',
    'User and system time that ended jobs used on their VMs.',
    ['queue'],
  );
  private readonly wall = this.counter(
    'vmpool_job_processor_seconds_total',
    'For which ended jobs ran on their VMs, times the processors that they had asked for; of those that were measured.',
    ['queue'],
  );
  private readonly memory = this.histogram(
    'vmpool_job_memory_bytes',
    'The most memory that an ended job used on its VM.',
    memoryBuckets,
  );
  private readonly moves = this.counter('vmpool_member_moves_total', 'Changes of state of VMs.', [
    'from',
    'to',
  ]);
  private readonly failures = this.counter(
    'vmpool_member_failures_total',
    'VMs that fell out of use by a fault, each time that one does.',
    ['reason'],
  );
  private readonly scrubs = this.counter('vmpool_scrubs_total', 'Scrubs by outcome.', ['outcome']);
  private readonly probes = this.counter('vmpool_probes_total', 'Probes by outcome.', ['outcome']);
  private readonly calls = this.histogram(
    'vmpool_cloud_call_seconds',
    'Calls to OpenStack by what was asked and how it ended.',
    shortBuckets,
    ['call', 'outcome'],
  );
  private readonly updates = this.histogram(
    'vmpool_cell_update_seconds',
    'Updates of cells by Pulumi.',
    longBuckets,
    ['cell', 'outcome'],
  );
  private readonly updateFailed = this.counter(
    'vmpool_cell_update_failures_total',
    'Updates of cells that failed.',
    ['reason'],
  );
  private readonly commits = this.histogram(
    'vmpool_store_commit_seconds',
    'Time for which a change waited to be durable.',
    shortBuckets,
    ['outcome'],
  );

  /** Those whose jobs have been counted. */
  private readonly queues = new Set<string>();

  /** @param view what is so at the moment of a scrape */
  constructor(
    pool: string,
    private readonly view: () => MetricsView,
  ) {
    this.registry.setDefaultLabels({ pool });
    // A counter that appears with its first count has not increased, as Prometheus sees it: an alert would miss it.
    for (const reason of Object.keys(vmFailures)) this.failures.inc({ reason }, 0);
    for (const reason of Object.keys(updateFailures)) this.updateFailed.inc({ reason }, 0);
    for (const outcome of scrubOutcomes) this.scrubs.inc({ outcome }, 0);
  }

  /** Adds the figures of the process (memory, processor time, event loop). Once in a process: it observes for good. */
  withProcess(): void {
    collectDefaultMetrics({ register: this.registry, eventLoopMonitoringPrecision: eventLoopSampleMs });
  }

  /** The text that Prometheus scrapes. */
  async text(): Promise<string> {
    this.look(this.view());
    return this.registry.metrics();
  }

  /** Counts what a durable decision tells. */
  told({ kind, from, to, ms, failure, queue = '', spent }: Note): void {
    if (failure !== undefined) this.failures.inc({ reason: failure });
    if (spent !== undefined) this.jobEnded(spent);
    if (kind === 'lease-ended') {
      this.ended.inc({ queue });
      this.used.inc({ queue }, seconds(ms ?? 0));
    }
    if (kind === 'vm' && from !== undefined && to !== undefined) {
      this.moves.inc({ from, to });
      if (ms !== undefined) this.boot.observe(seconds(ms));
    }
    if (kind === 'lease' && ms !== undefined) this.wait.observe(seconds(ms));
    if (kind === 'staged' && ms !== undefined) this.stage.observe(seconds(ms));
  }

  private jobEnded({ queue, end, measured, processors }: Spent): void {
    if (!this.queues.has(queue)) {
      this.queues.add(queue);
      for (const each of jobEnds) this.jobs.inc({ queue, end: each }, 0);
    }
    this.jobs.inc({ queue, end });
    if (measured === null) return;
    this.cpu.inc({ queue }, measured.cpuSeconds);
    this.wall.inc({ queue }, measured.wallSeconds * processors);
    this.memory.observe(measured.memoryBytes);
  }

  scrubbed(outcome: (typeof scrubOutcomes)[number]): void {
    this.scrubs.inc({ outcome });
  }

  probed(outcome: string): void {
    this.probes.inc({ outcome });
  }

  cloudCalled(call: string, outcome: string, ms: number): void {
    this.calls.observe({ call, outcome }, seconds(ms));
  }

  /** @param failure null for an update that went well */
  updated(cell: string, failure: UpdateFailure | null, ms: number): void {
    this.updates.observe({ cell, outcome: failure === null ? 'ok' : 'failed' }, seconds(ms));
    if (failure !== null) this.updateFailed.inc({ reason: failure });
  }

  committed(outcome: string, ms: number): void {
    this.commits.observe({ outcome }, seconds(ms));
  }

  private look({ state, now, breakerAfter, storeProblem }: MetricsView): void {
    const { book, sight } = state;
    this.members.reset();
    for (const kind of ['Free', 'Busy']) this.members.set({ state: kind, reason: '' }, 0);
    for (const { state: at } of membersOf(book)) {
      this.members.inc({ state: at.kind, reason: at.kind === 'Unusable' ? at.reason : '' });
    }
    const { shape, breaker } = book;
    this.outdated.set(
      membersOf(book).filter((m) => shape !== null && m.generation !== shape.generation).length,
    );
    this.limit.reset();
    if (shape !== null)
      for (const bound of ['min', 'max', 'spare'] as const) this.limit.set({ bound }, shape[bound]);
    this.leases.set(book.leases.size);
    const line = waiting(state);
    this.waiting.set(line.length);
    this.oldest.set(line.length === 0 ? 0 : seconds(now - Math.min(...line.map((r) => r.askedAt))));
    this.breakerOpen.set(isOpen(state, breakerAfter, now) ? 1 : 0);
    this.createFailures.set(breaker.failures);
    const cells = cellsOf(state).map((cell) => cellSight(state, cell));
    this.cellErrors.set(cells.filter((cell) => cell.error !== null).length);
    this.cellsRunning.set(cells.filter((cell) => cell.running).length);
    this.cloudUp.set(sight.cloudProblem === null ? 1 : 0);
    this.quota.reset();
    for (const { what, used, limit: most } of quotaLines(state)) {
      this.quota.set({ what, bound: 'used' }, used);
      if (most !== null) this.quota.set({ what, bound: 'limit' }, most);
    }
    this.storeUp.set(storeProblem === null ? 1 : 0);
    this.workerSync.reset();
    for (const [worker, { syncedAt }] of Object.entries(book.workers)) {
      this.workerSync.set({ worker }, seconds(Math.max(0, now - syncedAt)));
    }
  }

  private gauge<L extends string>(name: string, help: string, labelNames: readonly L[] = []): Gauge<L> {
    return new Gauge({ name, help, labelNames: [...labelNames], registers: [this.registry] });
  }

  private counter<L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> {
    return new Counter({ name, help, labelNames: [...labelNames], registers: [this.registry] });
  }

  private histogram<L extends string>(
    name: string,
    help: string,
    buckets: readonly number[],
    labelNames: readonly L[] = [],
  ): Histogram<L> {
    return new Histogram({
      name,
      help,
      buckets: [...buckets],
      labelNames: [...labelNames],
      registers: [this.registry],
    });
  }
}
