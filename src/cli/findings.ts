import type { InstallResult } from '../../hooks/install.js';
import type { World } from './world.js';

/** What an installation did or found, a line each, and `inOrder` below it when nothing failed. */
export const findingsText = (
  { ok, findings }: InstallResult,
  inOrder: string,
  { terminal: { paint } }: World,
): string => {
  const labels = {
    done: paint('green', 'ok     '),
    warning: paint('yellow', 'warning'),
    error: paint('red', 'FAIL   '),
  };
  const lines = findings.map(({ level, text }) => `${labels[level]}  ${text}`);
  return [...lines, ok ? inOrder : 'Not in order: see FAIL above.'].join('\n');
};
