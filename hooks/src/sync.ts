import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { prepareRootCredentials } from './credentials.js';
import { endAttempt, type EndingContext } from './ending.js';
import { alive, bootId } from './processes.js';
import type { AttemptRecord } from './spool/spool.js';
import { jobOfFileName } from './torque/arguments.js';
import { unhold } from './torque/qstat.js';
import { lookUpAccount } from './torque/account.js';

/** A tombstone is kept this long for second epilogues. */
const tombstoneMs = 24 * 3600 * 1000;
/** A mom that starts again writes its files anew; what looks gone for less than this may come back. */
const graceMs = 120_000;

const jobFileOf = (script: string): string => script.replace(/\.SC$/, '.JB');

/** Does Torque still have this start of the job here? */
function lives(record: AttemptRecord, boot: string): boolean {
  if (record.boot === boot && (alive(record.starter) || alive(record.prologue))) return true;
  return record.state !== 'ended' && record.state !== 'ending' && existsSync(jobFileOf(record.script));
}

/**
 * Every job that lives on the worker: the mom's own job files, and what the spool says is alive. Throws when the
 * mom's directory cannot be read: an empty list would end leases.
 */
export function listJobs(context: EndingContext): string[] {
  const { config, spool } = context;
  const jobs = new Set<string>();
  for (const name of readdirSync(join(config.momHome, 'mom_priv', 'jobs')))
    if (/\.(JB|SC)$/.test(name)) jobs.add(jobOfFileName(name.replace(/\.(JB|SC)$/, '')));
  const boot = bootId();
  for (const job of spool.jobs())
    if (spool.attempts(job).some((record) => lives(record, boot))) jobs.add(job);
  return [...jobs].filter((job) => /^[A-Za-z0-9][A-Za-z0-9._[\]-]{0,254}$/.test(job)).sort();
}

/** Run every minute. Tells the service what lives here, then finishes what others have left. */
export async function sync(context: EndingContext): Promise<boolean> {
  const { client, spool } = context;
  spool.prepare();
  const began = performance.now();
  const jobs = listJobs(context);
  const told = await client.sync({ jobs, ageMs: Math.round(performance.now() - began) }, 30_000);
  if (told.kind === 'unreachable') context.say(`the list of jobs was not taken: ${told.why}`);
  if (told.kind === 'problem') context.say(`the list of jobs was refused (${told.code}): ${told.detail}`);

  const single = await spool.lockSync();
  if (single === null) return told.kind === 'done';
  try {
    if (told.kind === 'done') await letGo(context);
    await renewRootCredentials(context);
    await finish(context);
  } finally {
    single.release();
  }
  return told.kind === 'done';
}

/** Jobs that the prologue held for want of the service may go on: it answers again. */
async function letGo(context: EndingContext): Promise<void> {
  for (const job of context.spool.held()) {
    const failed = await unhold(context.config.commands.qrls, job, 10_000);
    if (failed !== null) context.say(`${context.config.commands.qrls} -h s ${job}: ${failed}`);
    context.spool.forgetHeld(job);
  }
}

async function renewRootCredentials(context: EndingContext): Promise<void> {
  const { config, spool } = context;
  if (!config.credentials.some((one) => 'path' in one && one.readAs === 'root')) return;
  for (const record of spool.jobs().flatMap((job) => spool.attempts(job))) {
    if (record.state !== 'open') continue;
    const account = await lookUpAccount(record.user).catch(() => null);
    const directory = join(spool.attemptDirectory(record.job, record.starter), 'lease');
    if (account !== null) prepareRootCredentials(config, record, account.home, directory);
  }
}

/** Endings that an epilogue left, that never had one, and tombstones that have had their day. */
async function finish(context: EndingContext): Promise<void> {
  const { spool } = context;
  const boot = bootId();
  for (const record of spool.jobs().flatMap((job) => spool.attempts(job))) {
    const directory = spool.attemptDirectory(record.job, record.starter);
    const ageMs = Date.now() - statSync(join(directory, 'attempt.json')).mtimeMs;
    if (record.state === 'ended') {
      if (ageMs > tombstoneMs)
        // One that cannot be removed (a user's files are in it) must not keep the sync from the others.
        await spool
          .locked(record.job, 5000, () => spool.forget(record))
          .catch((error: unknown) => context.say(`${directory} cannot be removed: ${String(error)}`));
      continue;
    }
    const orphan = !lives(record, boot) && ageMs > graceMs;
    if ((record.state !== 'ending' && !orphan) || context.remainingMs() < 10_000) continue;
    const held = await spool.lockEnding(record.job, 0);
    // Held: an epilogue is at work on it.
    if (held === null) continue;
    try {
      await endAttempt(context, record);
    } finally {
      held.release();
    }
  }
  for (const job of spool.jobs().filter((one) => spool.isUntidy(one, graceMs)))
    await spool
      .locked(job, 5000, () => spool.forgetUnbegun(job, graceMs))
      .catch((error: unknown) =>
        context.say(`${spool.jobDirectory(job)} cannot be tidied: ${String(error)}`),
      );
}
