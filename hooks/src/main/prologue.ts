import { prologue } from '../prologue.js';
import { report } from '../report.js';
import { parsePrologueArguments } from '../torque/arguments.js';
import { hold } from '../torque/qstat.js';
import { configOrReport, remaining } from './common.js';

// A prologue that a signal ends counts as success, and the job would run: every signal that can be caught becomes 1.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGALRM', 'SIGUSR1', 'SIGUSR2'] as const)
  process.on(signal, () => process.exit(1));
process.stdout.on('error', () => undefined);
process.stderr.on('error', () => undefined);

/** The site's own fault is no reason to end a job: it is held, and the operator is told. */
async function holdFor(job: string, qholds: readonly string[], why: string): Promise<number> {
  report('prologue', `${why}. Job ${job} is held; when that is repaired: qrls -h s ${job}`);
  for (const qhold of qholds) if ((await hold(qhold, job, 5000)) === null) return 2;
  report('prologue', `job ${job} could not be held (${qholds.join(', ')})`);
  // Without the hold, 2 would start it again and again.
  return 1;
}

async function main(): Promise<number> {
  const args = parsePrologueArguments(process.argv.slice(2));
  if (!args.ok) {
    report('prologue', args.why);
    return 1;
  }
  const { job } = args.value;
  const config = configOrReport('prologue');
  if (config === null)
    return holdFor(job, ['/usr/local/bin/qhold', '/usr/bin/qhold'], 'its configuration is not usable');
  const remainingMs = remaining(config.prologueLimitMs);
  const deadline = AbortSignal.timeout(config.prologueLimitMs);
  // Whatever happens inside, an end of our own choice comes before the mom's SIGKILL.
  setTimeout(() => {
    report('prologue', `no result within ${config.prologueLimitMs / 1000} s`);
    process.exit(1);
  }, config.prologueLimitMs + 1000).unref();
  try {
    return await prologue({ config, args: args.value, env: process.env, deadline, remainingMs });
  } catch (error) {
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return await holdFor(job, [config.commands.qhold], why);
  }
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    report('prologue', String(error));
    process.exit(1);
  },
);
