import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { WorkerConfig } from '../config.js';
import type { VmView } from '../service-client.js';
import { bootstrap } from './payload.js';

export interface Outcome {
  /** Null: ssh itself could not be started or was ended by a signal. 255: ssh's own failure, or the command's. */
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** OpenSSH's client to one VM with one lease's key and nothing else: no agent, no configuration of the user's. */
export class Ssh {
  readonly #args: readonly string[];

  /** `runDirectory` is the user's own; the VM's host keys are written there under the lease's name. */
  constructor(
    private readonly config: WorkerConfig['ssh'],
    readonly vm: VmView,
    lease: string,
    key: string,
    runDirectory: string,
  ) {
    const knownHosts = join(runDirectory, 'known_hosts');
    const alias = `vmpool-${lease}`;
    writeFileSync(knownHosts, vm.hostKeys.map((line) => `${alias} ${line}\n`).join(''), { mode: 0o600 });
    const options = [
      ...config.options,
      'BatchMode=yes',
      'IdentitiesOnly=yes',
      'IdentityAgent=none',
      'PreferredAuthentications=publickey',
      'StrictHostKeyChecking=yes',
      `UserKnownHostsFile=${knownHosts}`,
      'GlobalKnownHostsFile=none',
      'UpdateHostKeys=no',
      `HostKeyAlias=${alias}`,
      'CheckHostIP=no',
      'ControlMaster=no',
      'ControlPath=none',
      'ForwardAgent=no',
      'ForwardX11=no',
      'ClearAllForwardings=yes',
      'PermitLocalCommand=no',
      'EscapeChar=none',
      'LogLevel=ERROR',
      'TCPKeepAlive=no',
      `ConnectTimeout=${Math.ceil(config.connectMs / 1000)}`,
    ];
    // ssh takes the first value that it is given: the site's may change how long it takes to find a VM dead.
    const alive = ['ServerAliveInterval=10', 'ServerAliveCountMax=3'];
    this.#args = [
      ...['-F', 'none', '-i', key, '-p', String(vm.port), '-l', vm.user],
      ...[...options, ...alive].flatMap((option) => ['-o', option]),
    ];
  }

  /**
   * Starts ssh in a session of its own, out of reach of the signals that Torque sends to the job's session.
   * `script` must be written to its standard input first.
   */
  start(script: Buffer | string, stdio: StdioOptions, terminal = false): ChildProcess {
    const command = typeof script === 'string' ? script : bootstrap(script);
    const args = [...this.#args, ...(terminal ? ['-tt'] : ['-T']), '--', this.vm.host, command];
    // Settings of the user's for ssh (SSH_ASKPASS and the like) have no part in this.
    const env = { PATH: '/usr/bin:/bin', ...(process.env['TERM'] ? { TERM: process.env['TERM'] } : {}) };
    return spawn(this.config.command, args, { stdio, detached: true, env, cwd: '/' });
  }

  /** Runs a script on the VM, with the input behind it, to its end. */
  run(script: Buffer, input: readonly Buffer[], limitMs: number): Promise<Outcome> {
    return new Promise((resolve) => {
      const child = this.start(script, ['pipe', 'pipe', 'pipe']);
      const out: Buffer[] = [];
      const err: Buffer[] = [];
      child.stdout?.on('data', (part: Buffer) => out.push(part));
      child.stderr?.on('data', (part: Buffer) => err.push(part));
      child.stdin?.on('error', () => undefined);
      for (const part of [script, ...input]) child.stdin?.write(part);
      child.stdin?.end();
      const timer = setTimeout(() => {
        err.push(Buffer.from(`no end within ${Math.round(limitMs / 1000)} s`));
        child.kill('SIGKILL');
      }, limitMs);
      child.once('error', (error) => err.push(Buffer.from(error.message)));
      child.once('close', (code) => {
        clearTimeout(timer);
        resolve({ code, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString().trim() });
      });
    });
  }
}
