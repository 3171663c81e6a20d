import { exitCodes } from '../exit.js';
import type { World } from '../world.js';
import type { Finding } from './finding.js';

/** One finding as a line; what follows a line feed in its text stands below its beginning. */
export const findingLine = (finding: Finding, { terminal: { paint } }: World): string => {
  const label = { ok: paint('green', 'ok  '), note: paint('yellow', 'note'), fail: paint('red', 'FAIL') };
  return `${label[finding.result]}  ${finding.what.padEnd(12)}  ${finding.text.replaceAll('\n', '\n' + ' '.repeat(20))}`;
};

/** Below the lines: are all in order? In JSON, all of it. Sets the exit code. */
export const concludeFindings = (
  findings: readonly Finding[],
  json: boolean,
  inOrder: string,
  world: World,
): void => {
  const failed = findings.filter(({ result }) => result === 'fail').length;
  world.terminal.out(
    json
      ? JSON.stringify({ ok: failed === 0, findings }, null, 2)
      : failed === 0
        ? `\n${inOrder}`
        : `\n${String(failed)} of ${String(findings.length)} not in order.`,
  );
  world.exitWith(failed === 0 ? exitCodes.ok : exitCodes.notInOrder);
};
