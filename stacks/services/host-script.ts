import { createHash } from 'node:crypto';
import { hostProgram, sharedFunctions } from './host-program.js';
import type { HostPlan } from './plan.js';
import { shellQuote } from './shell.js';

export interface HostScriptOptions {
  /** The stack's name: the name of our directory in `stateDir`, and the mark in our files. */
  readonly id: string;
  readonly stateDir: string;
  /** Where the service lives (`placeOf`): only who wrote last takes out. */
  readonly place: string;
}

/**
 * The whole of what is sent to the service's host, as one shell script for `sh -s apply` or `sh -s remove`. It does
 * nothing before its last line, so that a connection that is cut in the middle changes nothing. Pure.
 */
export const hostScript = (plan: HostPlan, options: HostScriptOptions): string => {
  const { id, stateDir, place } = options;
  const setting = (name: string, value: string): string => `${name}=${shellQuote(value)}`;
  return [
    '# Sent by VM Pool: puts the configuration of a service that follows the pool in place.',
    'vmpool_settings() {',
    setting('id', id),
    setting('state', `${stateDir}/${id}`),
    setting('place', place),
    setting('limit', String(plan.hookLimitSeconds)),
    setting('check', plan.check ?? ''),
    setting('reload', plan.reload),
    setting('confirm', plan.confirm ?? ''),
    setting('rollback', plan.rollback ?? plan.reload),
    setting('verify', plan.verify ?? ''),
    '}',
    'vmpool_files() {',
    ':',
    ...plan.files.map(
      ({ path, text, mode }) => `vmpool_file ${mode} ${shellQuote(path)} ${hereDocument(text)}`,
    ),
    '}',
    `vmpool_functions() {\ncat ${hereDocument(sharedFunctions)}\n}`,
    hostProgram,
    'vmpool_main "$@"',
    '',
  ].join('\n');
};

/** `text` word for word; it ends with a newline on the other side. */
const hereDocument = (text: string): string => {
  const whole = text.endsWith('\n') || text === '' ? text : `${text}\n`;
  const end = `END_${createHash('sha256').update(whole).digest('hex').slice(0, 24)}`;
  return `<<'${end}'\n${whole}${end}`;
};
