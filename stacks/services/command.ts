import { z } from 'zod';
import { commonSettings, siteCommand } from './host.js';
import type { HostPlan, ServiceInput } from './plan.js';

export const commandSettings = z.strictObject({
  type: z.literal('command'),
  ...commonSettings,
  /** Reads the document on stdin and says no to it. Empty for none. */
  check: siteCommand.or(z.literal('')).default(''),
  /** Reads the document on stdin and makes it so. Run again with the same document it must do no harm. */
  apply: siteCommand,
  /** Reads the document before on stdin, after a failed apply. Empty runs `apply` with it. */
  rollback: siteCommand.or(z.literal('')).default(''),
  limitSeconds: z.int().min(1).max(300).default(60),
});
export type CommandSettings = z.infer<typeof commandSettings>;

const place = '$VMPOOL_STATE/files/members.json';

/** The document as the site's commands read it: stable, so that nothing is applied twice for nothing. Pure. */
export const commandDocument = (input: ServiceInput): string =>
  `${JSON.stringify({ pool: input.pool, members: input.members }, null, 2)}\n`;

/**
 * The members as JSON on stdin of the site's own commands. When the stack is destroyed, and on the way back from the
 * very first one, they get a document without members.
 */
export const planCommand = (settings: CommandSettings, input: ServiceInput): HostPlan => {
  const none = commandDocument({ ...input, members: [] });
  const withDocument = (path: string, command: string): string =>
    `if [ -f "${path}" ]; then cat "${path}"; else printf %s '${none.replaceAll("'", "'\\''")}'; fi | { ${command}\n}`;
  return {
    files: [{ path: '@state/members.json', text: commandDocument(input), mode: '0600' }],
    check: settings.check === '' ? null : withDocument(`$VMPOOL_STAGE${place}`, settings.check),
    reload: withDocument(place, settings.apply),
    confirm: null,
    rollback: settings.rollback === '' ? null : withDocument(place, settings.rollback),
    hookLimitSeconds: settings.limitSeconds,
  };
};
