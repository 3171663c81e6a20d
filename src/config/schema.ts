import { isIP } from 'node:net';
import { z } from 'zod';
import { workerName } from '../http/api.js';
import { poolName } from '../http/class-api.js';
import { mountSchema } from '../guest/mounts.js';
import { classSettings } from './class-settings.js';
import { policySettings } from './policy-settings.js';
import { duration, period, size } from './quantities.js';

const path = z.string().min(1).max(4096);
const variable = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'the name of an environment variable');

/** Does that host name the machine itself and nothing else? A name other than localhost could be anything. */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));

const tls = z.strictObject({
  cert: path.describe('Certificate chain, PEM. Read again on SIGHUP.'),
  key: path.describe('Its private key, PEM; not readable by others. Read again on SIGHUP.'),
  clientCa: path
    .optional()
    .describe('CA of client certificates, PEM: with it, clients without one are refused.'),
});

const listen = z
  .strictObject({
    host: z
      .string()
      .min(1)
      .max(253)
      .default('127.0.0.1')
      .describe('Address to listen on. Beyond loopback, `tls` is required.'),
    port: z.int().min(0).max(65_535).default(8470).describe('Port; 0 takes a free one.'),
    tls: tls.optional().describe('TLS 1.2 or newer. Without it, plain HTTP on loopback.'),
  })
  .refine((l) => isLoopback(l.host) || l.tls !== undefined, {
    path: ['host'],
    message: 'listening beyond loopback requires listen.tls (cert and key): tokens would travel in the clear',
  })
  .prefault({})
  .describe('Where the HTTP API is served.');

const token = z
  .strictObject({
    name: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'letters, digits, dot, dash, underscore')
      .describe('Shown in logs; never the token itself.'),
    role: z
      .enum(['worker', 'operator', 'viewer'])
      .describe(
        '`worker`: leases for its own jobs; `viewer`: reads everything; `operator`: also holds, retires and releases.',
      ),
    worker: workerName
      .optional()
      .describe('The Torque node that uses this token; required for role `worker`.'),
    sha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/, '64 hexadecimal digits, in lower case')
      .optional()
      .describe("The token's SHA-256 in hexadecimal."),
    tokenFile: path.optional().describe('File that holds the token; not readable by others.'),
    tokenEnv: variable.optional().describe('Environment variable that holds the token.'),
  })
  .superRefine((t, context) => {
    if ([t.sha256, t.tokenFile, t.tokenEnv].filter((source) => source !== undefined).length !== 1) {
      context.addIssue({ code: 'custom', message: 'needs exactly one of sha256, tokenFile and tokenEnv' });
    }
    if (t.role === 'worker' && t.worker === undefined) {
      context.addIssue({
        code: 'custom',
        path: ['worker'],
        message: 'required for role worker: the node that uses this token',
      });
    }
    if (t.role !== 'worker' && t.worker !== undefined) {
      context.addIssue({ code: 'custom', path: ['worker'], message: `has no meaning for role ${t.role}` });
    }
  });

const auth = z
  .strictObject({
    tokens: z
      .array(token)
      .min(1, 'needs at least one token, or nobody can use the service')
      .max(10_000)
      .superRefine((tokens, context) => {
        tokens.forEach(({ name }, index) => {
          if (tokens.findIndex((other) => other.name === name) !== index) {
            context.addIssue({
              code: 'custom',
              path: [index, 'name'],
              message: `another token is named ${name}`,
            });
          }
        });
      })
      .describe('Bearer tokens. A token is never written in this file.'),
  })
  .describe('Who may use the API.');

const cloud = z
  .strictObject({
    cloud: z
      .string()
      .min(1)
      .optional()
      .describe('Entry of clouds.yaml; otherwise the OS_* variables of the environment.'),
    envFile: path
      .optional()
      .describe('File of OS_* variables (an openrc without code); not readable by others.'),
  })
  .prefault({})
  .describe('The OpenStack project.');

/** Upper bound of `engine.maxParallel`. */
export const mostCellsAtOnce = 256;

const engine = z
  .strictObject({
    backend: z
      .string()
      .regex(/^[a-z][a-z0-9+.-]*:\/\//, 'a URL, such as file:///var/lib/vmpool/pulumi')
      .optional()
      .describe("Pulumi's state backend. Default: file://<stateDir>/pulumi"),
    passphraseFile: path.describe("Passphrase of Pulumi's secrets; not readable by others."),
    maxParallel: z
      .int()
      .min(1)
      .max(mostCellsAtOnce)
      .optional()
      .describe(
        'Cells of a pool that are brought up at the same time; each takes some 200 MB meanwhile. Default: what half of the memory carries, shared by the pools, from 4 to 32',
      ),
    adoptEvery: period.prefault('1m').describe("Period of reading the pool stack's outputs."),
    createTimeout: period
      .optional()
      .describe(
        'Limit that Pulumi puts on the create of one VM; not shorter than policy.bootLimit, which should be what ends it. Default: policy.bootLimit and one minute',
      ),
  })
  .describe('Pulumi.');

const guest = z
  .strictObject({
    user: z
      .string()
      .regex(/^[a-z_][a-z0-9_.-]*$/i, 'an account name')
      .default('root')
      .describe('Account for administration on the VMs: root, or one with sudo without a password.'),
    privateKeyFile: path.describe('Its SSH private key, OpenSSH or PEM; not readable by others.'),
    hostKeys: z
      .enum(['console', 'first-sight'])
      .default('console')
      .describe(
        "How a new VM's host keys are learned: from its console log, or pinned at the first connection.",
      ),
    uidMin: z.int().min(1).default(1000).describe('Jobs of users with a smaller uid are refused.'),
    environment: z
      .record(variable, z.string())
      .default({})
      .describe("Added to every job's environment on the VM. No secrets."),
    mounts: z
      .array(mountSchema)
      .max(32)
      .superRefine((mounts, context) => {
        mounts.forEach(({ target }, index) => {
          if (mounts.findIndex((other) => other.target === target) !== index)
            context.addIssue({
              code: 'custom',
              path: [index, 'target'],
              message: `another mount has the target ${target}`,
            });
        });
      })
      .default([])
      .describe("Shared file systems of the VMs, in the order in which they are mounted; the pool's first."),
  })
  .describe('SSH into the VMs.');

const usage = z
  .strictObject({
    keep: period.prefault('400d').describe('How long it is known who used what; older lines are deleted.'),
    size: size
      .prefault('256MiB')
      .describe('Disk space for it at most (some 400 bytes a job); what is too much goes, the oldest first.'),
  })
  .prefault({})
  .describe('The account of ended leases, for `vmpool usage`.');

const limits = z
  .strictObject({
    bodyBytes: size.prefault('1MiB').describe('Largest request body.'),
    failedAuthPerMinute: z
      .int()
      .min(1)
      .default(30)
      .describe('Failed authentications of one address in a minute before it has to wait.'),
    maxWait: period.prefault('60s').describe('Longest time for which a long poll is held.'),
    connections: z.int().min(10).default(2000).describe('Connections at the same time.'),
    stopGrace: duration.prefault('10s').describe('Time that a stop leaves to requests under way.'),
  })
  .prefault({})
  .describe('Limits of the HTTP API.');

/** The configuration file. Input: what YAML holds; output: with defaults, times in milliseconds, sizes in bytes. */
export const settingsSchema = z.strictObject({
  pool: poolName.describe("The pool's name; also its Pulumi stack's."),
  classes: classSettings,
  stateDir: path
    .default('/var/lib/vmpool')
    .describe(
      'Directory of the book, the history, the cells and, by default, the Pulumi state. On a local disk.',
    ),
  capabilitySecretFile: path
    .optional()
    .describe(
      'Secret behind the capabilities of leases; made at the first start. Default: <stateDir>/capability.key',
    ),
  listen,
  auth,
  cloud,
  engine,
  guest,
  policy: policySettings,
  usage,
  limits,
  logging: z
    .strictObject({
      level: z
        .enum(['trace', 'debug', 'info', 'warn', 'error'])
        .default('info')
        .describe('Least level that is logged.'),
    })
    .prefault({})
    .describe('Structured log on standard output.'),
});
export type Settings = z.output<typeof settingsSchema>;
