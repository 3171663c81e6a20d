import { spawnSync } from 'node:child_process';

/** To stderr (the job's own output, where Torque delivers it) and to syslog, where an operator finds it. */
export function report(hook: string, message: string): void {
  process.stderr.write(`vmpool: ${message}\n`);
  note(hook, message);
}

/**
 * One line without control characters. What a VM says ends up in messages, and must not write lines of its own
 * into root's log or sequences into the terminal of whoever reads it.
 */
export function oneLine(message: string): string {
  return message
    .slice(0, longestNote)
    .trim()
    .replace(/\s*\n\s*/g, ' | ')
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?');
}

/** Characters: more than syslog keeps, and far less than a command line may have. */
const longestNote = 8192;

/** To syslog only. */
export function note(hook: string, message: string): void {
  try {
    spawnSync('logger', ['-t', `vmpool-${hook}[${process.pid}]`, '--', oneLine(message)], {
      stdio: 'ignore',
      timeout: 1000,
    });
  } catch {
    // No logger: stderr has it.
  }
}
