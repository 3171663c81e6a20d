import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { engineEnvironment } from './environment.js';
import { answerSchema, type EngineAnswer, type EngineRequest } from './messages.js';
import { engineOptionsSchema, type EngineOptions, type EngineOptionsInput } from './options.js';
import type { CellWish, ConvergeResult, Engine, EngineEvent, PreviewResult, PublishedMember } from './port.js';

/** What happened to a call: an answer of the engine process, or the process's end. */
type Outcome = Exclude<EngineAnswer, { type: 'event' }> | { readonly type: 'died'; readonly message: string };

interface Pending {
  readonly onEvent: (event: EngineEvent) => void;
  readonly settle: (outcome: Outcome) => void;
}

type Call = Extract<EngineRequest, { id: number }>;
type Question = Exclude<Call, { type: 'abort' }>;
type WithoutId<T> = T extends { id: number } ? Omit<T, 'id'> : never;

/** How long `close` waits for updates under way to stop by themselves, in milliseconds. */
const closeLimitMs = 60_000;

/**
 * Opens the engine: one process, started with the first call and again after it died. At each start it ends
 * what an earlier one left behind, so no two engines of one installation and pool may live at a time; the
 * store's ownership is what guarantees that.
 */
export const createEngine = (input: EngineOptionsInput & { readonly processPath?: string }): Promise<Engine> => {
  const { processPath, ...rest } = input;
  const options = engineOptionsSchema.parse(rest);
  return Promise.resolve(
    new EngineClient(options, processPath ?? join(options.repoRoot, 'dist', 'src', 'engine', 'process.js')),
  );
};

class EngineClient implements Engine {
  private child: ChildProcess | null = null;
  private closed = false;
  private nextId = 0;
  private readonly pending = new Map<number, Pending>();

  constructor(
    private readonly options: EngineOptions,
    private readonly processPath: string,
  ) {}

  async converge(
    wish: CellWish,
    onEvent: (event: EngineEvent) => void,
    signal: AbortSignal,
  ): Promise<ConvergeResult> {
    const outcome = await this.call({ type: 'converge', wish }, signal, onEvent);
    if (outcome.type === 'converged') {
      return outcome.result;
    }
    return { ok: false, state: null, message: failureOf(outcome) };
  }

  async preview(wish: CellWish, signal: AbortSignal): Promise<PreviewResult> {
    const outcome = await this.call({ type: 'preview', wish }, signal);
    if (outcome.type === 'previewed') {
      return outcome.result;
    }
    throw new Error(failureOf(outcome));
  }

  async poolOutputs(signal: AbortSignal): Promise<unknown> {
    const outcome = await this.call({ type: 'poolOutputs' }, signal);
    if (outcome.type === 'outputs') {
      return outcome.outputs;
    }
    throw new Error(failureOf(outcome));
  }

  async publishSummary(members: readonly PublishedMember[], signal: AbortSignal): Promise<void> {
    const plain = members.map((member) => ({ ...member, addresses: mutable(member.addresses) }));
    const outcome = await this.call({ type: 'publishSummary', members: plain }, signal);
    if (outcome.type !== 'published') {
      throw new Error(failureOf(outcome));
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    const { child } = this;
    if (child === null) {
      return;
    }
    const exit = once(child, 'exit');
    if (child.connected) {
      child.send({ type: 'close' } satisfies EngineRequest);
    }
    const limit = new AbortController();
    await Promise.race([exit, sleep(closeLimitMs, undefined, { signal: limit.signal, ref: false }).catch(() => undefined)]);
    limit.abort();
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await exit;
    }
  }

  private call(
    question: WithoutId<Question>,
    signal: AbortSignal,
    onEvent: (event: EngineEvent) => void = () => undefined,
  ): Promise<Outcome> {
    if (this.closed) {
      return Promise.resolve({ type: 'died', message: 'the engine is closed' });
    }
    if (signal.aborted) {
      return Promise.resolve({ type: 'died', message: 'aborted before it began' });
    }
    const id = this.nextId;
    this.nextId += 1;
    return new Promise((resolve) => {
      const child = this.process();
      const abort = (): void => {
        if (child.connected) {
          child.send({ type: 'abort', id } satisfies EngineRequest);
        }
      };
      signal.addEventListener('abort', abort, { once: true });
      const settle = (outcome: Outcome): void => {
        if (this.pending.delete(id)) {
          signal.removeEventListener('abort', abort);
          resolve(outcome);
        }
      };
      this.pending.set(id, { onEvent, settle });
      child.send({ ...question, id }, (error) => {
        if (error !== null) {
          settle({ type: 'died', message: `the engine process does not take messages: ${error.message}` });
        }
      });
    });
  }

  private process(): ChildProcess {
    if (this.child !== null) {
      return this.child;
    }
    const child = fork(this.processPath, [], {
      cwd: this.options.repoRoot,
      env: engineEnvironment(this.options, process.env),
      execArgv: [],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      serialization: 'json',
    });
    this.child = child;
    let lastWords = '';
    child.stderr?.setEncoding('utf8');
    child.stderr?.on('data', (text: string) => {
      lastWords = (lastWords + text).slice(-2000);
    });
    child.on('message', (message) => this.receive(message));
    const ended = (how: string): void => {
      if (this.child === child) {
        this.child = null;
        for (const pending of [...this.pending.values()]) {
          pending.settle({ type: 'died', message: `the engine process ${how}${lastWords === '' ? '' : `: ${lastWords.trim()}`}` });
        }
      }
    };
    child.on('error', (error) => ended(`failed (${error.message})`));
    child.on('exit', (code, killedBy) =>
      ended(killedBy === null ? `ended with ${String(code)}` : `was killed (${killedBy})`),
    );
    child.send({ type: 'configure', options: this.options } satisfies EngineRequest, () => undefined);
    return child;
  }

  private receive(message: unknown): void {
    const answer = answerSchema.parse(message);
    const pending = this.pending.get(answer.id);
    if (answer.type === 'event') {
      pending?.onEvent(answer.event);
    } else {
      pending?.settle(answer);
    }
  }
}

const failureOf = (outcome: Outcome): string =>
  outcome.type === 'died' || outcome.type === 'failed' ? outcome.message : `unexpected answer ${outcome.type}`;

const mutable = (addresses: Readonly<Record<string, readonly string[]>>): Record<string, string[]> =>
  Object.fromEntries(Object.entries(addresses).map(([network, list]) => [network, [...list]]));
