import { constants } from 'node:os';
import type { ChildProcess } from 'node:child_process';
import { stage } from '../remote/payload.js';
import { askScript, signalScript } from '../remote/runner.js';
import type { Ssh } from '../remote/ssh.js';
import { quote } from '../remote/quote.js';
import type { Task } from './task.js';

/** What Torque, qdel and qsig send to the job's session. SIGSTOP cannot be caught and so not passed on. */
export const forwarded = ['TERM', 'INT', 'HUP', 'QUIT', 'USR1', 'USR2', 'ALRM', 'CONT', 'TSTP'] as const;
export type Forwarded = (typeof forwarded)[number];

export type Ended =
  | { readonly kind: 'exit'; readonly code: number }
  /** The VM cannot be reached any more, or never could. */
  | { readonly kind: 'lost'; readonly why: string };

const giveUpMs = 60_000;
/** An ssh that lived longer than this had its connection. */
const connectingMs = 20_000;

/** One run of a task on the VM: ssh carries its streams, a second ssh its signals. */
export class Run {
  #ssh: ChildProcess | null = null;
  #signals: Promise<void> = Promise.resolve();
  #asked: Forwarded | null = null;
  /** Something of our standard input went into an ssh: it cannot be given to another one. */
  #inputTaken = false;
  #startedAt = 0;

  constructor(
    private readonly ssh: Ssh,
    private readonly task: Task,
    private readonly umask: number,
  ) {}

  /** In the order in which they came, each by an ssh of its own. */
  signal(name: Forwarded): void {
    this.#asked = name;
    this.#signals = this.#signals.then(async () => {
      await this.ssh.run(signalScript(this.task.taskDirectory, name), [], 30_000);
    });
  }

  /** The terminal's size changed: ssh has another session and was not told. */
  resized(): void {
    if (this.#ssh?.pid !== undefined) this.#ssh.kill('SIGWINCH');
  }

  async toEnd(): Promise<Ended> {
    const until = performance.now() + giveUpMs;
    for (let pauseMs = 200; ; pauseMs = Math.min(pauseMs * 2, 5000)) {
      this.#startedAt = performance.now();
      const code = this.task.terminal ? await this.#onTerminal() : await this.#onPipes();
      if (code !== 255 && code !== null) return { kind: 'exit', code };
      const ended = await this.#whatHappened(code);
      if (ended !== 'again') return ended;
      // Nothing of the task has run yet (a VM's sshd starting again, a connection that broke): try once more.
      if (performance.now() > until || this.#inputTaken)
        return { kind: 'lost', why: 'no connection to it could be made' };
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }

  get #runCommand(): string {
    const mask = this.umask.toString(8).padStart(3, '0');
    return `exec /bin/bash ${quote(`${this.task.directory}/runner`)} ${quote(this.task.taskDirectory)} ${mask} ${this.task.kind} ${this.task.printsUsage ? 1 : 0}`;
  }

  #onPipes(): Promise<number | null> {
    const { script, data } = stage(this.task, this.task.parts, this.#runCommand);
    const child = this.ssh.start(script, ['pipe', 'inherit', 'inherit']);
    this.#ssh = child;
    child.stdin?.on('error', () => undefined);
    // The job's first line with what shows that all has come: not one without the other.
    child.stdin?.write(Buffer.concat([script, data, this.task.firstInput]));
    process.stdin.once('data', () => (this.#inputTaken = true));
    if (child.stdin) process.stdin.pipe(child.stdin);
    return ended(child);
  }

  async #onTerminal(): Promise<number | null> {
    const { script, data } = stage(this.task, this.task.parts, 'exit 0');
    const staged = await this.ssh.run(script, [data], giveUpMs);
    if (staged.code !== 0) {
      if (staged.stderr !== '') process.stderr.write(`${staged.stderr}\n`);
      return staged.code;
    }
    const child = this.ssh.start(this.#runCommand, ['inherit', 'inherit', 'inherit'], true);
    this.#ssh = child;
    return ended(child);
  }

  /** ssh said 255 or was killed: the record on the VM knows better, if there still is a VM. */
  async #whatHappened(code: number | null): Promise<Ended | 'again'> {
    let why = '';
    for (let attempt = 0; attempt < 3; attempt++) {
      const answer = await this.ssh.run(askScript(this.task.taskDirectory), [], 30_000);
      const said = answer.stdout.toString().trim();
      const record = /^end (\d+)$/.exec(said);
      if (record?.[1]) return { kind: 'exit', code: Number(record[1]) };
      if (said === 'lost') return { kind: 'exit', code: 128 + constants.signals.SIGKILL };
      if (said === 'running') {
        // Its output has lost its way for good: better none than half.
        await this.ssh.run(signalScript(this.task.taskDirectory, 'KILL'), [], 30_000);
        return { kind: 'lost', why: 'the connection to it broke while the job ran' };
      }
      const fresh = /^new (\d+)$/.exec(said);
      if (fresh?.[1]) {
        if (this.#asked !== null || code === null) return this.#ended();
        const sinceMs = performance.now() - this.#startedAt;
        // A VM that was started again has forgotten that the task ran: it must not run twice.
        return Number(fresh[1]) * 1000 < sinceMs || sinceMs > connectingMs
          ? { kind: 'lost', why: 'it was started again while the job ran' }
          : 'again';
      }
      why = answer.stderr;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    return { kind: 'lost', why };
  }

  /** Ended by a signal before anything ran. */
  #ended(): Ended {
    const signal = this.#asked ?? 'KILL';
    return { kind: 'exit', code: 128 + constants.signals[`SIG${signal}`] };
  }

  get lastSignal(): Forwarded | null {
    return this.#asked;
  }
}

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => {
    child.once('error', () => resolve(null));
    child.once('exit', (code) => resolve(code));
  });
}
