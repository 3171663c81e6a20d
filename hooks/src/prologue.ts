import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { asUser, runToEnd } from './as-user.js';
import type { WorkerConfig } from './config.js';
import { prepareRootCredentials } from './credentials.js';
import { bootId, signalProcess, statOf } from './processes.js';
import { attemptOf, releaseOf } from './attempt.js';
import { note, report } from './report.js';
import { ServiceClient } from './service-client.js';
import { makeOwned } from './spool/files.js';
import { runDirectory, writeLeaseFiles } from './spool/lease-files.js';
import { Spool, type AttemptRecord } from './spool/spool.js';
import { makeKeyPair } from './ssh-key.js';
import { waitLimitMs } from './starter/waiting.js';
import { lookUpAccount, type Account } from './torque/account.js';
import { featuresOf, memoryOf, processorsOf, type PrologueArguments } from './torque/arguments.js';
import { limitsOf } from './torque/limits.js';
import { askQstat, hold, type JobFacts } from './torque/qstat.js';
import type { LeaseRequest } from '../../src/http/api.js';
import { sleep } from '../../src/sleep.js';

/** 0 run the job, 1 end it, 2 held: the only results that Torque does not turn into an endless loop. */
export type PrologueExit = 0 | 1 | 2;

const qholdLimitMs = 5000;

export interface PrologueContext {
  readonly config: WorkerConfig;
  readonly args: PrologueArguments;
  readonly env: NodeJS.ProcessEnv;
  /** Fires at the prologue's own deadline. */
  readonly deadline: AbortSignal;
  readonly remainingMs: () => number;
}

/** Asks for the VM. Leaves the waiting to the job starter, because a slow prologue slows the whole node. */
export async function prologue(context: PrologueContext): Promise<PrologueExit> {
  const { config, args } = context;
  const starter = statOf(process.ppid);
  const self = statOf('self');
  if (starter === null || self === null) {
    report('prologue', 'the process that started this prologue is gone; the job is not run');
    return 1;
  }
  const spool = new Spool(config.spool);
  spool.prepare();
  const early: AttemptRecord = {
    version: 1,
    job: args.job,
    user: args.user,
    uid: 0,
    gid: 0,
    groups: [],
    start: 0,
    boot: bootId(),
    starter: { pid: starter.pid, ticks: starter.ticks },
    prologue: { pid: self.pid, ticks: self.ticks },
    script: args.script,
    lease: null,
    state: 'asking',
    superseded: false,
  };
  // Before anything that may take its time: an epilogue beside us must find whom to end.
  const [older, qstat, account] = await Promise.all([
    takeOver(spool, early),
    askQstatUntil(context),
    lookUpAccount(args.user).catch((error: unknown) =>
      error instanceof Error ? error.message : String(error),
    ),
  ]);
  // Torque knew the account a moment ago: it is the name service that fails, not the job.
  if (typeof account === 'string') return holdJob(context, null, account, false);
  if (account.uid < config.minimumId || account.gid < config.minimumId)
    return refuse(
      context,
      account,
      `account ${account.name} (uid ${account.uid}, gid ${account.gid}) is below the lowest id ${config.minimumId} that may have a VM`,
    );
  if (qstat === null) return holdJob(context, account, `qstat -f ${args.job} gave no answer`, false);
  if (qstat.startCount > config.startLimit)
    return holdJob(
      context,
      account,
      `job ${args.job} was started ${qstat.startCount} times (limit ${config.startLimit})`,
      false,
    );
  const record: AttemptRecord = {
    ...early,
    user: account.name,
    uid: account.uid,
    gid: account.gid,
    groups: account.groups.map((group) => group.gid),
    start: qstat.startCount,
  };
  const mine = await spool.locked(args.job, 5000, () => {
    if (spool.read(args.job, early.starter)?.state !== 'asking') return false;
    spool.write(record);
    return true;
  });
  if (!mine) return endedMeanwhile(args.job);
  return askForVm(context, spool, record, account, qstat, older);
}

/** What the job asks of its VM. Only what it does ask for is sent, as to a service that knows nothing of classes. */
function wishOf(
  resources: string,
  env: NodeJS.ProcessEnv,
  worker: string,
): Pick<LeaseRequest, 'processors' | 'memory' | 'features'> {
  const processors = processorsOf(env);
  const memory = memoryOf(resources, processors);
  const features = featuresOf(resources, [worker, hostname(), env['PBS_MSHOST'] ?? '']);
  return {
    processors,
    ...(memory === null ? {} : { memory }),
    ...(features.length === 0 ? {} : { features: [...features] }),
  };
}

function endedMeanwhile(job: string): PrologueExit {
  report('prologue', `job ${job} was ended while its VM was asked for`);
  return 1;
}

/** Writes this start down. A newer start means that an older one is over for Torque, whatever is left of it here. */
async function takeOver(spool: Spool, record: AttemptRecord): Promise<readonly AttemptRecord[]> {
  const older = await spool.locked(record.job, 5000, () => {
    const before = spool
      .attempts(record.job)
      .filter((one) => one.state !== 'ended' && one.starter.ticks !== record.starter.ticks);
    for (const one of before) spool.write({ ...one, state: 'ending', superseded: true });
    spool.begin(record);
    return before;
  });
  for (const one of older) {
    if (one.boot !== record.boot) continue;
    signalProcess(one.starter, 'SIGKILL');
    signalProcess(one.prologue, 'SIGTERM');
  }
  return older;
}

async function askForVm(
  context: PrologueContext,
  spool: Spool,
  record: AttemptRecord,
  account: Account,
  facts: JobFacts,
  older: readonly AttemptRecord[],
): Promise<PrologueExit> {
  const { config, args, env } = context;
  const keys = makeKeyPair(`vmpool-${record.job.replace(/[^\w.-]/g, '-')}`);
  const token = readFileSync(config.service.tokenFile, 'utf8').trim();
  const client = new ServiceClient(config.service.url, config.service.caFile, token);
  const limitMs = Math.max(500, Math.min(5000, context.remainingMs() / 3));
  await Promise.all(
    older
      .filter((one) => one.start > 0)
      .map((one) => client.release({ ...releaseOf(one), reason: 'the job was started again' }, limitMs)),
  );

  const limits = limitsOf(args.resources);
  const body: LeaseRequest = {
    job: record.job,
    attempt: attemptOf(record),
    user: { ...account, groups: [...account.groups] },
    publicKey: keys.publicKey,
    ...wishOf(args.resources, env, config.worker),
    queue: args.queue,
    jobName: args.jobName.slice(0, 4096),
    ...(Object.keys(limits).length === 0 ? {} : { limits }),
    maxWaitSeconds: Math.floor(waitLimitMs(config.maxWaitMs, args.walltimeSeconds) / 1000),
  };
  const lease = await askUntil(context, client, body);
  if (lease.kind === 'unreachable')
    return holdJob(context, account, `no VM could be asked for: ${lease.why}`, true);
  if (lease.kind === 'problem') {
    if (lease.code === 'unsatisfiable' || lease.code === 'no-class-fits')
      return refuse(context, account, lease.detail);
    if (lease.code === 'rival-attempt')
      return holdJob(
        context,
        account,
        `another start of job ${record.job} still holds a VM: ${lease.detail}`,
        true,
      );
    return refuse(context, account, `the service refused the job (${lease.code}): ${lease.detail}`);
  }
  const { value } = lease;
  const directory = spool.attemptDirectory(record.job, record.starter);
  const workDirectory = env['PBS_O_WORKDIR'] || (facts.variables.get('PBS_O_WORKDIR') ?? null);
  const mine = await spool.locked(record.job, 5000, () => {
    if (spool.read(record.job, record.starter)?.state !== 'asking') return false;
    makeOwned(join(directory, 'lease'), 0o711);
    const prepared = prepareRootCredentials(config, record, account.home, join(directory, 'lease'));
    const ticket = {
      version: 1,
      service: { url: config.service.url, caFile: config.service.caFile },
      lease: value.id,
      capability: value.capability ?? '',
      job: record.job,
      start: record.start,
      walltimeSeconds: args.walltimeSeconds,
      home: account.home,
      workDirectory: workDirectory === '' ? null : workDirectory,
      prepared,
    } as const;
    writeLeaseFiles(directory, ticket, keys.privateKey, account);
    spool.makeRunDirectory(runDirectory(directory), account);
    // Last: from here on the job starter may use it.
    spool.write({ ...record, lease: value.id, state: 'open' });
    return true;
  });
  if (mine && value.state !== 'ended') return 0;
  await client.release({ ...releaseOf(record), reason: 'the job ended in its prologue' }, 5000);
  return endedMeanwhile(record.job);
}

/** A server that is busy or starting again gets more than one try. */
async function askQstatUntil(context: PrologueContext): Promise<JobFacts | null> {
  const { config, args } = context;
  for (let pauseMs = 100; ; pauseMs = Math.min(pauseMs * 2, 2000)) {
    const rest = context.remainingMs() - qholdLimitMs;
    const answer = await askQstat(config.commands.qstat, args.job, Math.max(500, Math.min(10_000, rest)));
    if (answer.ok) return answer.facts;
    if (rest < pauseMs) {
      note('prologue', answer.why);
      return null;
    }
    await sleep(pauseMs, context.deadline);
  }
}

type Asked = Awaited<ReturnType<ServiceClient['request']>>;

/** Tries again while the service is out of reach or an older attempt has not yet let go, within the deadline. */
async function askUntil(context: PrologueContext, client: ServiceClient, body: LeaseRequest): Promise<Asked> {
  for (let pauseMs = 200; ; pauseMs = Math.min(pauseMs * 2, 3000)) {
    // Time to hold the job must be left.
    const rest = context.remainingMs() - qholdLimitMs - 500;
    const wait = Math.min(context.config.quickWaitMs, Math.max(0, rest - 2000));
    const limit = Math.max(500, Math.min(rest, wait + 10_000));
    const answer: Asked = await client.request(body, wait, limit, context.deadline);
    const passing =
      answer.kind === 'unreachable' || (answer.kind === 'problem' && answer.code === 'rival-attempt');
    if (!passing || rest < pauseMs + 500) return answer;
    await sleep(pauseMs, context.deadline);
  }
}

/**
 * Held, then 2. `passing`: what kept it is expected to pass, and the sync lets the job go again when it has. A job
 * that cannot be held ends: 2 without the hold would have Torque start it again at once, without limit.
 */
async function holdJob(
  context: PrologueContext,
  account: Account | null,
  why: string,
  passing: boolean,
): Promise<PrologueExit> {
  const { config, args } = context;
  const { qhold } = config.commands;
  let failed: string | null;
  for (;;) {
    const limitMs = Math.max(1000, Math.min(qholdLimitMs, context.remainingMs() - 1500));
    failed = await hold(qhold, args.job, limitMs);
    if (failed === null || context.remainingMs() < 2000) break;
    await sleep(500, context.deadline);
  }
  if (failed !== null)
    return refuse(
      context,
      account,
      `${why}. It could not be held either (${qhold} -h s: ${failed}); submit it again. Operator: root of the worker must be one of the Torque server's managers`,
    );
  report(
    'prologue',
    `${why}. Job ${args.job} is held${passing ? ' until that has passed' : `; look why, then: qrls -h s ${args.job}`}`,
  );
  if (passing) {
    const spool = new Spool(config.spool);
    spool.prepare();
    spool.noteHeld(args.job);
  }
  return 2;
}

/**
 * Ends the job. Torque delivers no output of a job whose prologue says 1, so that the reason also goes to a file
 * beside the user's own, and to one in the spool.
 */
async function refuse(context: PrologueContext, account: Account | null, why: string): Promise<PrologueExit> {
  const { config, args, env } = context;
  report('prologue', `job ${args.job}: ${why}`);
  if (account === null) return 1;
  const spool = new Spool(config.spool);
  spool.prepare();
  const text = `Job ${args.job} was not run: ${why}\n`;
  spool.leaveMessage(args.job, text, account);
  const directory = env['PBS_O_WORKDIR'];
  if (directory !== undefined && directory.startsWith('/') && account.uid > 0) {
    const name = `${args.jobName.replace(/[^\w.-]/g, '_')}.vmpool.${args.job.replace(/[^\w[\]-].*/, '')}`;
    const who = { uid: account.uid, gid: account.gid, groups: account.groups.map((group) => group.gid) };
    const script = 'set -C; umask 077; cd -- "$1" && cat > "$2"';
    const [command, list] = asUser(who, ['/bin/sh', '-c', script, 'sh', directory, `./${name}`]);
    await runToEnd(command, list, { limitMs: 3000, input: text });
  }
  return 1;
}
