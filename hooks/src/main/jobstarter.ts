import { bringBack, exitAgain, exitRefused, jobStarter } from '../jobstarter.js';
import { readWorkerConfig } from '../config.js';

process.stderr.on('error', () => undefined);

async function main(): Promise<number> {
  if (process.getuid?.() === 0) {
    process.stderr.write(
      'vmpool: the job starter runs as the job’s user, never as root: remove $job_starter_run_privileged from mom_priv/config\n',
    );
    return exitRefused;
  }
  const read = readWorkerConfig(process.env);
  if (!read.ok) {
    process.stderr.write(`vmpool: ${read.path}: ${read.errors.join('; ')}\n`);
    return exitRefused;
  }
  const [first, directory, limit] = process.argv.slice(2);
  if (first === '--vmpool-bring-back' && directory !== undefined)
    return bringBack(read.config, directory, Number(limit ?? '60000'));
  return jobStarter(read.config, process.argv.slice(2));
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(
      `vmpool: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    process.exit(exitAgain);
  },
);
