import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

/** How a machine treats connections: it answers; it accepts them and says nothing; or packets are dropped. */
export type NetworkMode = 'answer' | 'mute' | 'drop';

export interface SandboxOptions {
  /** The compiled sandbox program (see program.ts). */
  readonly program: string;
  /** The layer that hides the host (see base-layer.ts). */
  readonly baseLayer: string;
  /** An existing empty folder: the machine's disk is mounted there, seen by the machine's own keeper only. */
  readonly directory: string;
  /** A tree of files copied to the machine's disk before its first boot. */
  readonly seed: string;
  /** The file that takes the machine's console; appended to. */
  readonly consoleLog: string;
  readonly addresses: readonly string[];
  readonly port: number;
  readonly diskBytes: number;
  /** Called when the machine's init has ended, for whatever reason. */
  readonly onDown: () => void;
}

interface PendingCommand {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** One machine: a keeper process of its own (vm-sandbox.c), commanded one line at a time. */
export class Sandbox {
  readonly #child: ChildProcess;
  readonly #stdin: Writable;
  readonly #waiting: PendingCommand[] = [];
  readonly #exited: Promise<void>;
  #initPid: number | undefined;
  #ended = false;

  private constructor(child: ChildProcess, stdin: Writable, reports: Readable, onDown: () => void) {
    this.#child = child;
    this.#stdin = stdin;
    stdin.on('error', () => undefined);
    createInterface({ input: reports }).on('line', (line) => {
      if (line.startsWith('up ')) this.#initPid = Number(line.slice(3));
      else if (line === 'down') {
        this.#initPid = undefined;
        onDown();
      } else {
        const command = this.#waiting.shift();
        if (line === 'ok') command?.resolve();
        else command?.reject(new Error(line.replace(/^error /, '')));
      }
    });
    this.#exited = new Promise((resolve) => {
      const finish = (): void => {
        this.#ended = true;
        this.#initPid = undefined;
        for (const command of this.#waiting.splice(0)) command.reject(new Error('the sandbox has ended'));
        resolve();
      };
      child.once('error', finish).once('close', finish);
    });
  }

  /** Starts the keeper and prepares the machine's disk; the machine itself is not booted yet. */
  static async create(options: SandboxOptions): Promise<Sandbox> {
    const log = openSync(options.consoleLog, 'a', 0o600);
    let child: ChildProcess;
    try {
      child = spawn(
        options.program,
        [
          'run',
          `base=${options.baseLayer}`,
          `directory=${options.directory}`,
          `seed=${options.seed}`,
          `port=${options.port}`,
          `disk=${Math.ceil(options.diskBytes / 1024)}k`,
          ...options.addresses.map((address) => `address=${address}`),
        ],
        { stdio: ['pipe', log, log, 'pipe'], env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }, cwd: '/' },
      );
    } finally {
      closeSync(log);
    }
    const reports = child.stdio[3];
    if (!child.stdin || !reports || !('read' in reports)) throw new Error('the sandbox program has no pipes');
    const sandbox = new Sandbox(child, child.stdin, reports, options.onDown);
    await new Promise<void>((resolve, reject) => sandbox.#waiting.push({ resolve, reject }));
    return sandbox;
  }

  /** The machine's init as the host sees it, while it runs. */
  get initPid(): number | undefined {
    return this.#initPid;
  }

  get keeperPid(): number | undefined {
    return this.#child.pid;
  }

  #command(line: string): Promise<void> {
    if (this.#ended) return Promise.reject(new Error('the sandbox has ended'));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#stdin.write(`${line}\n`);
    });
  }

  boot(hostname: string, network: NetworkMode): Promise<void> {
    return this.#command(`boot ${hostname} ${network}`);
  }

  /** Ends all processes and keeps the files. `drop`: peers are not told, as when a machine loses its power. */
  halt(network: 'refuse' | 'drop'): Promise<void> {
    return this.#command(`halt ${network}`);
  }

  network(mode: NetworkMode): Promise<void> {
    return this.#command(mode);
  }

  freeze(): Promise<void> {
    return this.#command('freeze');
  }

  thaw(): Promise<void> {
    return this.#command('thaw');
  }

  fillDisk(full: boolean): Promise<void> {
    return this.#command(full ? 'fill' : 'unfill');
  }

  listen(address: string): Promise<void> {
    return this.#command(`listen ${address}`);
  }

  unlisten(address: string): Promise<void> {
    return this.#command(`unlisten ${address}`);
  }

  /** Ends the machine and wipes its disk. Idempotent. */
  async end(): Promise<void> {
    this.#stdin.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 2000);
    await this.#exited;
    clearTimeout(timer);
  }
}
