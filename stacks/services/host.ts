import { z } from 'zod';
import { shellQuote } from './shell.js';

// eslint-disable-next-line no-control-regex -- it is these that must not get in
const line = z.string().regex(/^[^\0-\x1f\x7f]+$/, 'has a control character');

/** A path that needs no quoting anywhere. */
export const plainPath = z
  .string()
  .max(1024)
  .regex(/^\/[A-Za-z0-9_.,+:@%/-]+$/, 'is no absolute path without blanks and quotes');

/** How the host of a service is reached. `local` is the machine on which the vmpool service itself runs. */
export const hostSchema = z.union([
  z.literal('local'),
  z.strictObject({
    address: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9.:_-]*$/, 'is no host name or address'),
    port: z.int().min(1).max(65_535).default(22),
    user: z
      .string()
      .regex(/^[a-z_][a-z0-9_.-]*$/i, 'is no account name')
      .default('root'),
    /** The private key's file on the machine of the vmpool service. Its content goes nowhere else. */
    keyFile: plainPath,
    /** As in known_hosts: type, blank, base64. */
    hostKey: z.string().regex(/^[a-z0-9@.-]+ [A-Za-z0-9+/]+=*$/, 'is no host key (type, blank, base64)'),
    /** Run our part there by `sudo -n`. */
    sudo: z.boolean().default(false),
  }),
]);
export type ServiceHost = z.infer<typeof hostSchema>;

/** Settings that every service has. */
export const commonSettings = {
  host: hostSchema,
  /** Our own directory on that host: what was last taken over, for the way back. */
  stateDir: plainPath.default('/var/lib/vmpool-services'),
};

/** A shell command of the site's own, run on the service's host. */
export const siteCommand = line.max(4096);

const alias = 'vmpool-service-host';
/** ssh gives up after so many seconds without a connection. */
const connectSeconds = 15;

/** Where a service lives: another place is another resource. */
export const placeOf = (host: ServiceHost, stateDir: string): string =>
  host === 'local' ? `local ${stateDir}` : `${host.address} ${String(host.port)} ${stateDir}`;

/**
 * The command for `local.Command` whose stdin is the host script. The private key is named, not read: nothing of it
 * is in the stack's state. The host key is the configured one and no other.
 */
export const hostCommand = (host: ServiceHost, mode: 'apply' | 'remove'): string => {
  if (host === 'local') {
    return `exec sh -s ${mode}`;
  }
  const options = [
    'BatchMode=yes',
    'IdentitiesOnly=yes',
    'IdentityAgent=none',
    'StrictHostKeyChecking=yes',
    'GlobalKnownHostsFile=/dev/null',
    'UpdateHostKeys=no',
    `HostKeyAlias=${alias}`,
    `ConnectTimeout=${String(connectSeconds)}`,
    'ServerAliveInterval=10',
    'ServerAliveCountMax=3',
    'LogLevel=ERROR',
  ].map((option) => `-o ${option}`);
  const remote = `${host.sudo ? 'sudo -n ' : ''}sh -s ${mode}`;
  return [
    `known=$(mktemp) || exit 1`,
    `trap 'rm -f "$known"' EXIT; trap 'exit 143' TERM INT HUP`,
    `printf '%s\\n' ${shellQuote(`${alias} ${host.hostKey}`)} >"$known"`,
    `ssh -F none -T ${options.join(' ')} -o UserKnownHostsFile="$known" -i ${shellQuote(host.keyFile)} ` +
      `-p ${String(host.port)} -l ${shellQuote(host.user)} -- ${shellQuote(host.address)} ${shellQuote(remote)}`,
  ].join('\n');
};
