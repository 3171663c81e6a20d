import { spawnSync } from 'node:child_process';

/** To stderr (the job's own output, where Torque delivers it) and to syslog, where an operator finds it. */
export function report(hook: string, message: string): void {
  process.stderr.write(`vmpool: ${message}\n`);
  note(hook, message);
}

/** To syslog only. */
export function note(hook: string, message: string): void {
  try {
    spawnSync('logger', ['-t', `vmpool-${hook}[${process.pid}]`, '--', message], {
      stdio: 'ignore',
      timeout: 1000,
    });
  } catch {
    // No logger: stderr has it.
  }
}
