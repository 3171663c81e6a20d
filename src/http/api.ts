/**
 * The shapes of the HTTP API, version 1. The same schemas validate requests, type the client that the hooks
 * and the command line use, and describe the API. Unknown fields are refused on the way in.
 */
import { z } from 'zod';
import { countsView, feature, ofPool, poolSummary, shapeView } from './class-api.js';

/** Torque job ids: `28.server`, `28[0].server`. Nothing that a path, shell or config file could misread. */
export const jobId = z
  .string()
  .min(1)
  .max(255)
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._[\]-]*$/,
    'a Torque job id: letters, digits, dot, dash, underscore, brackets',
  );

export const workerName = z
  .string()
  .min(1)
  .max(253)
  .regex(/^[A-Za-z0-9][A-Za-z0-9.-]*$/, 'a host name');

/** A POSIX account name that is also safe as an argument (never option-like). */
export const userName = z
  .string()
  .min(1)
  .max(32)
  .regex(/^[A-Za-z_][A-Za-z0-9_.-]*\$?$/, 'an account name');

// NUL as every engine of regular expressions reads it: the pattern stands in the OpenAPI document.
const absolutePath = z
  .string()
  .max(4096)
  // eslint-disable-next-line no-control-regex
  .regex(/^\/[^\x00\n:]*$/, 'an absolute path');

const id32 = z.int().min(0).max(0xffff_fffe);

/** Id of a request and of the lease that it becomes. */
export const leaseId = z
  .string()
  .max(64)
  .regex(/^[A-Za-z0-9-]+$/, 'the id of a lease')
  .describe('Id of a request, and of the lease that it becomes.');

export const memberName = z
  .string()
  .max(255)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'the name of a VM')
  .describe('Name of a VM of the pool.');

export const attempt = z
  .strictObject({
    /**
     * Torque's start count of the job (`qstat -f`), 1 for the first start. Bounded: one absurd number would refuse
     * every real attempt of that job as stale.
     */
    start: z.int().min(0).max(1_000_000),
    /** The worker's boot id. */
    boot: z
      .string()
      .min(1)
      .max(64)
      .regex(/^[A-Za-z0-9-]+$/),
    pid: z
      .int()
      .min(1)
      .describe("Pid of the starter (the prologue's parent) and its start time in clock ticks."),
    ticks: z.int().min(0),
  })
  .meta({ id: 'Attempt' });

export const jobUser = z
  .strictObject({
    name: userName,
    uid: id32,
    gid: id32,
    groups: z.array(z.strictObject({ name: userName, gid: id32 })).max(256),
    home: absolutePath,
    shell: absolutePath,
  })
  .meta({ id: 'JobUser' });

/** One line of an OpenSSH public key file: type and base64, no options. */
export const publicKey = z
  .string()
  .max(2048)
  .regex(
    /^(ssh-ed25519|ecdsa-sha2-nistp(256|384|521)|ssh-rsa) [A-Za-z0-9+/]+=*( [A-Za-z0-9_.@:-]*)?$/,
    'an OpenSSH public key',
  );

const limit = (what: string) => z.int().min(1).max(Number.MAX_SAFE_INTEGER).optional().describe(what);

/** As Torque defines them. */
export const jobLimits = z
  .strictObject({
    mem: limit('Bytes of memory of all processes together.'),
    pmem: limit('Bytes of memory of each process.'),
    vmem: limit('Bytes of address space of all processes together.'),
    pvmem: limit('Bytes of address space of each process.'),
    cput: limit('Seconds of processor time of all processes together.'),
    pcput: limit('Seconds of processor time of each process.'),
  })
  .meta({ id: 'JobLimits' });

export const leaseRequest = z
  .strictObject({
    job: jobId,
    attempt,
    user: jobUser,
    publicKey,
    processors: z.int().min(1).max(65_536).default(1).describe('Processors asked for on the node (`ppn`).'),
    memory: z
      .int()
      .min(1)
      .max(Number.MAX_SAFE_INTEGER)
      .optional()
      .describe('Bytes asked for on the node (`mem`, or `pmem` times `ppn`); told apart by classes alone.'),
    features: z
      .array(feature)
      .max(64)
      .optional()
      .describe('Properties of a node that the job asks for; told apart by classes alone.'),
    queue: z.string().max(255).default(''),
    jobName: z.string().max(4096).default(''),
    limits: jobLimits.optional().describe('The VM ends the job beyond them.'),
    maxWaitSeconds: z
      .int()
      .min(0)
      .max(31 * 86_400)
      .optional()
      .describe(
        'So long the job waits for its VM; then its worker gives the request up. Only told on: the service ends no request by it. Absent: not known.',
      ),
  })
  .meta({ id: 'LeaseRequest' });
export type LeaseRequest = z.infer<typeof leaseRequest>;

export const releaseRequest = z
  .strictObject({
    job: jobId,
    attempt: attempt
      .optional()
      .describe('Absent: the epilogue knows no attempt; every attempt of that job on this worker ends.'),
    reason: z.string().max(1024).default('job ended').describe('Told to the operator and kept in history.'),
    holdFor: z
      .string()
      .max(1024)
      .optional()
      .describe('Files could not be copied back: the VM is held for the user instead of scrubbed.'),
    exit: z
      .int()
      .min(-9_999)
      .max(9_999)
      .optional()
      .describe(
        "The job's exit status as Torque tells it to the epilogue: 256 and more after its signals, negative where it ended the job.",
      ),
  })
  .meta({ id: 'ReleaseRequest' });
export type ReleaseRequest = z.infer<typeof releaseRequest>;

export const syncRequest = z
  .strictObject({
    jobs: z.array(jobId).max(100_000).describe('Every job that lives on the worker.'),
    ageMs: z
      .int()
      .min(0)
      .max(3_600_000)
      .describe('Milliseconds since the worker began to take this listing, by its monotonic clock.'),
  })
  .meta({ id: 'SyncRequest' });
export type SyncRequest = z.infer<typeof syncRequest>;

export const leasedVm = z
  .object({
    member: z.string(),
    host: z.string(),
    port: z.int(),
    hostKeys: z.array(z.string()).describe('As in known_hosts lines: type, blank, base64.'),
    user: z.string(),
    stack: z.string().nullable().describe('The Pulumi stack that holds the VM, once known.'),
  })
  .meta({ id: 'LeasedVm' });

export const runningUsage = z
  .object({
    at: z.string().describe('When its VM told that.'),
    cpuSeconds: z.number().describe("User and system time of all of the job's processes."),
    memoryBytes: z.number().describe('The most that they had at once.'),
    wallSeconds: z.number().describe("Since the job's program began."),
  })
  .meta({ id: 'RunningUsage' });

export const leaseView = z
  .object({
    id: z.string(),
    state: z.enum(['waiting', 'granted', 'ended']),
    worker: z.string(),
    job: z.string(),
    user: z.string().optional().describe('Not of an ended one.'),
    queue: z.string().optional().describe("The job's queue, as its worker told it; not of an ended one."),
    pool: ofPool,
    position: z.int().nullable().describe('Place in the line, 1 is next; null when not waiting.'),
    detail: z.string().describe('In plain words what is waited for, or why it ended.'),
    vm: leasedVm.nullable(),
    ready: z
      .boolean()
      .describe('Account, key, environment and marker are on the VM: files and the job may follow.'),
    askedAt: z.string(),
    grantedAt: z.string().nullable(),
    usage: runningUsage
      .optional()
      .describe('What a job that runs has used so far, as of the last probe of its VM; absent: not known.'),
    maxWaitSeconds: z
      .int()
      .optional()
      .describe(
        'Of a waiting one: so long after `askedAt` its worker gives it up, give or take the seconds of its prologue. Absent where the worker did not say.',
      ),
  })
  .meta({ id: 'Lease' });
export type LeaseView = z.infer<typeof leaseView>;

/** Answer to the worker's request: the capability is for the job's side of this lease alone. */
export const leaseAnswer = leaseView
  .extend({ capability: z.string().describe("Bearer token of the job's side, for this lease alone.") })
  .meta({ id: 'LeaseWithCapability' });
export type LeaseAnswer = z.infer<typeof leaseAnswer>;

export const releaseAnswer = z
  .object({
    outcome: z
      .enum(['ended', 'nothing-to-end'])
      .describe('`ended` now, or there was nothing (more) to end. Both are success.'),
    detail: z.string(),
  })
  .meta({ id: 'Released' });
export type ReleaseAnswer = z.infer<typeof releaseAnswer>;

export const syncAnswer = z
  .object({
    ended: z.array(z.string()).describe('Jobs whose lease or request this listing ended.'),
  })
  .meta({ id: 'Synced' });
export type SyncAnswer = z.infer<typeof syncAnswer>;

export const nodeView = z
  .object({
    ok: z.boolean().describe('May Torque send jobs here?'),
    detail: z.string(),
  })
  .meta({ id: 'Node' });
export type NodeView = z.infer<typeof nodeView>;

export const memberView = z
  .object({
    name: z.string(),
    pool: ofPool,
    cell: z.string(),
    state: z.enum(['Free', 'Busy', 'Unusable']),
    reason: z.string().nullable(),
    detail: z.string(),
    since: z.string(),
    bornAt: z.string(),
    generation: z.string(),
    current: z.boolean(),
    serverId: z.string().nullable(),
    address: z.string().nullable(),
    retiring: z.string().nullable(),
    probe: z
      .object({
        at: z.string(),
        failures: z.int().describe('Probes in a row that failed, 0 when it answers.'),
      })
      .nullable()
      .describe('The last look by SSH; null when there was none yet.'),
    job: z
      .object({ id: z.string(), worker: z.string(), user: z.string(), lease: z.string(), since: z.string() })
      .nullable(),
  })
  .meta({ id: 'Member' });
export type MemberView = z.infer<typeof memberView>;

export const cellView = z
  .object({
    name: z.string(),
    pool: ofPool,
    stack: z.string(),
    members: z.int(),
    running: z.boolean(),
    lastError: z.string().nullable(),
  })
  .meta({ id: 'Cell' });
export type CellView = z.infer<typeof cellView>;

/** A service of the site that follows the nodes, each a stack of its own. */
export const serviceView = z
  .object({
    name: z.string(),
    pool: ofPool,
    type: z.string().describe('`removed` while it is being taken out.'),
    stack: z.string(),
    hosts: z.int().describe('VMs that it had after its last update by this service.'),
    toAdd: z.int(),
    toRemove: z.int(),
    running: z.boolean(),
    upToDate: z.boolean(),
    behindSince: z.string().nullable(),
    nextTry: z.string().nullable().describe('After a failure: when it is tried again.'),
    lastError: z.string().nullable(),
  })
  .meta({ id: 'Service' });
export type ServiceView = z.infer<typeof serviceView>;

export const statusView = z
  .object({
    pool: z.string().describe('Its name; of several, with commas.'),
    installation: z.string(),
    version: z.string(),
    now: z.string(),
    pools: z
      .array(poolSummary)
      .optional()
      .describe('Each pool of a service with classes, in their order; then the rest tells of all together.'),
    shape: shapeView.nullable(),
    counts: countsView,
    paused: z
      .object({ why: z.string(), since: z.string(), until: z.string() })
      .nullable()
      .describe('While changes of the cloud are paused: nothing is made or ended there.'),
    problems: z
      .array(z.string())
      .describe(
        'Everything that keeps the pool from doing its work, worst first, each with what to do. Empty: all is well.',
      ),
    breaker: z.object({
      open: z.boolean(),
      failures: z.int(),
      until: z.string().nullable(),
      why: z.string().nullable(),
    }),
    quota: z
      .object({
        at: z.string().describe('When it was read.'),
        lines: z.array(
          z.object({
            what: z.string(),
            used: z.number().describe('By the whole project.'),
            limit: z.number().nullable().describe('Null: unlimited.'),
            perVm: z.number().describe('What one VM of the pool takes.'),
          }),
        ),
      })
      .nullable()
      .describe("The project's quota, as far as the cloud tells it; null before it was first read."),
    members: z.array(memberView),
    requests: z.array(leaseView),
    leases: z.array(leaseView),
    cells: z.array(cellView),
    workers: z.array(z.object({ name: z.string(), lastSync: z.string().nullable(), jobs: z.int() })),
    services: z.array(serviceView),
  })
  .meta({ id: 'Status' });
export type StatusView = z.infer<typeof statusView>;

/** Of a line that tells a decision; the words are those of docs/reference/states.md. */
export const ofDecision = {
  decision: z.string().optional().describe('`made`, `leased`, `scrubbed` or `ended`; of decisions alone.'),
  reason: z.string().optional().describe('Why it was decided, in one word; `detail` has all of it.'),
};

export const eventView = z
  .object({
    id: z.int().describe('Grows by one with each event; begins anew when the service starts.'),
    at: z.string(),
    kind: z.string(),
    detail: z.string(),
    vm: z.string().nullable(),
    lease: z.string().nullable(),
    job: z.string().nullable(),
    user: z.string().nullable(),
    ...ofDecision,
  })
  .meta({ id: 'Event' });
export type EventView = z.infer<typeof eventView>;

export const trendPoint = z
  .object({ at: z.string(), free: z.int(), busy: z.int(), unusable: z.int(), waiting: z.int() })
  .meta({ id: 'TrendPoint' });
export type TrendPoint = z.infer<typeof trendPoint>;

/** Operator's order on a member. */
export const memberOrder = z
  .strictObject({
    reason: z
      .string()
      .min(1)
      .max(1024)
      .default('ordered by an operator')
      .describe('Told on the status and kept in history.'),
  })
  .meta({ id: 'MemberOrder' });

/** Seconds, for orders that end by themselves. */
const forSeconds = z
  .int()
  .min(60)
  .max(30 * 86_400);

export const holdOrder = memberOrder
  .extend({
    forSeconds: forSeconds
      .optional()
      .describe('Held for longer than this it is given back by itself; absent: until an operator does that.'),
  })
  .meta({ id: 'HoldOrder' });

export const pauseOrder = memberOrder
  .extend({
    forSeconds: forSeconds.max(86_400).default(3_600).describe('After this, changes go on by themselves.'),
  })
  .meta({ id: 'PauseOrder' });

export const done = z.object({ detail: z.string() }).meta({ id: 'Done' });
export type Done = z.infer<typeof done>;

export const readyView = z.object({ ready: z.boolean(), detail: z.string() }).meta({ id: 'Ready' });

/** RFC 9457. `type` is `urn:vmpool:problem:<code>`. */
export const problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string().optional(),
    errors: z
      .array(z.object({ path: z.string(), message: z.string() }))
      .optional()
      .describe('Field by field what is wrong with the input.'),
  })
  .meta({ id: 'Problem' });
export type Problem = z.infer<typeof problem>;

/** Codes of problems that hooks decide by. */
export const problemCodes = {
  /** An ended or older attempt asks again: the job must not run. */
  stale: 'stale-attempt',
  /** Another attempt of the same job still holds something and neither is the newer one. */
  rival: 'rival-attempt',
  /** The job's request can never be met by this pool (too many processors...). */
  unsatisfiable: 'unsatisfiable',
  /** No class of VMs takes a job that asks for that: the job must not run, nor be tried again as it is. */
  noClassFits: 'no-class-fits',
  notFound: 'not-found',
  forbidden: 'forbidden',
  unauthorised: 'unauthorised',
  invalid: 'invalid-input',
  /** Each value is well-formed, and together they make no sense: what a schema cannot say. */
  inconsistent: 'inconsistent-input',
  tooLarge: 'body-too-large',
  tooMany: 'too-many-requests',
  unavailable: 'unavailable',
  conflict: 'conflict',
  methodNotAllowed: 'method-not-allowed',
  unsupportedMediaType: 'unsupported-media-type',
  internal: 'internal-error',
} as const;
export type ProblemCode = (typeof problemCodes)[keyof typeof problemCodes];
