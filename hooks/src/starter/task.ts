import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { WorkerConfig } from '../config.js';
import type { CredentialFile } from '../credentials.js';
import type { Part } from '../remote/payload.js';
import { runner } from '../remote/runner.js';
import type { LeaseTicket } from '../spool/lease-files.js';
import type { VmView } from '../service-client.js';
import type { Environment } from './input.js';
import { readScriptLine } from './input.js';

/** Something to be run on the VM: the job, an interactive shell, or a task of pbsdsh. */
export interface Task {
  /** The lease's directory on the VM and the task's own within it. */
  readonly directory: string;
  readonly taskDirectory: string;
  readonly parts: readonly Part[];
  /** What the task finds first on its standard input. */
  readonly firstInput: Buffer;
  readonly terminal: boolean;
  readonly kind: 'job' | 'task';
  /** At the end of its output. */
  readonly printsUsage: boolean;
}

export const remoteDirectory = (config: WorkerConfig, lease: string): string =>
  `${config.remoteDir.replace(/\/+$/, '')}/vmpool-${lease}`;

const nul = Buffer.from([0]);

/**
 * Everything that the task needs on the VM, as bytes: the job's file, arguments, environment, credentials. What can be
 * made before it is known which VM that is, is made now.
 */
export function prepareTask(order: {
  readonly config: WorkerConfig;
  readonly ticket: LeaseTicket;
  readonly kind: 'job' | 'task';
  readonly command: readonly Buffer[];
  readonly environment: Environment;
}): ((vm: VmView, credentials: readonly CredentialFile[]) => Task) | { readonly why: string } {
  const { config, ticket, kind } = order;
  const directory = remoteDirectory(config, ticket.lease);
  const taskDirectory = join(directory, `task-${process.pid}`);
  const terminal = kind === 'job' && order.environment.get('PBS_ENVIRONMENT') === 'PBS_INTERACTIVE';
  let environment = order.environment.with('VMPOOL_LEASE', ticket.lease);
  const parts: Part[] = [
    { path: join(directory, 'runner'), mode: 0o700, data: Buffer.from(runner) },
    {
      path: join(taskDirectory, 'home'),
      mode: 0o600,
      data: Buffer.from(environment.get('HOME') ?? ticket.home),
    },
    {
      path: join(taskDirectory, 'arguments'),
      mode: 0o600,
      data: Buffer.concat(order.command.flatMap((word) => [word, nul])),
    },
  ];
  const nodefile = environment.get('PBS_NODEFILE');
  if (nodefile !== null && nodefile !== '') {
    try {
      const nodes = readFileSync(nodefile);
      parts.push({ path: join(directory, 'nodefile'), mode: 0o600, data: nodes });
      const lines = nodes
        .toString('latin1')
        .split('\n')
        .filter((line) => line !== '').length;
      if (config.nodefile === 'vm')
        parts.push({ path: join(taskDirectory, 'nodes'), mode: 0o600, data: Buffer.from(String(lines)) });
      environment = environment.with('PBS_NODEFILE', join(directory, 'nodefile'));
    } catch {
      // Torque made none: the variable stays as it is.
    }
  }
  let firstInput: Buffer = Buffer.alloc(0);
  if (kind === 'job' && !terminal) {
    const line = readScriptLine(0);
    if (line === null) return { why: 'Torque named no job file on standard input' };
    let data: Buffer;
    try {
      data = readFileSync(line.path);
    } catch (error) {
      return {
        why: `the job's file cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      };
    }
    const path = join(directory, basename(line.path));
    parts.push({ path, mode: 0o700, data });
    parts.push({ path: join(taskDirectory, 'shell'), mode: 0o600, data: Buffer.alloc(0) });
    // The shell reads this line as a command, as it does under Torque: it splits and unquotes the arguments.
    firstInput = Buffer.concat([Buffer.from(path.replace(/[[\]]/g, '\\$&')), line.rest, Buffer.from('\n')]);
  }
  const printsUsage = config.printUsage && kind === 'job' && !terminal;
  const fixed = { directory, taskDirectory, firstInput, terminal, kind, printsUsage };
  return (vm, credentials) => {
    const data = environment.with('VMPOOL_MEMBER', vm.member).toBytes();
    const last: Part = { path: join(taskDirectory, 'environment'), mode: 0o600, data };
    return { ...fixed, parts: [...parts, ...credentials, last] };
  };
}
