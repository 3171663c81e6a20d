import { prologue } from '../prologue.js';
import { report } from '../report.js';
import { parsePrologueArguments } from '../torque/arguments.js';
import { configOrReport, remaining } from './common.js';

// A prologue that a signal ends counts as success, and the job would run: every signal that can be caught becomes 1.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGALRM', 'SIGUSR1', 'SIGUSR2'] as const)
  process.on(signal, () => process.exit(1));
process.stdout.on('error', () => undefined);
process.stderr.on('error', () => undefined);

async function main(): Promise<number> {
  const args = parsePrologueArguments(process.argv.slice(2));
  const config = configOrReport('prologue');
  // Both are the site's faults, not the job's; but a job that is started again without end helps nobody.
  if (config === null) return 1;
  if (!args.ok) {
    report('prologue', args.why);
    return 1;
  }
  const remainingMs = remaining(config.prologueLimitMs);
  const deadline = AbortSignal.timeout(config.prologueLimitMs);
  // Whatever happens inside, an end of our own choice comes before the mom's SIGKILL.
  setTimeout(() => {
    report('prologue', `no result within ${config.prologueLimitMs / 1000} s`);
    process.exit(1);
  }, config.prologueLimitMs + 1000).unref();
  return prologue({ config, args: args.value, env: process.env, deadline, remainingMs });
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    report('prologue', error instanceof Error ? (error.stack ?? error.message) : String(error));
    process.exit(1);
  },
);
