import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { engineEnvironment, markOf } from './environment.js';
import { callLimits, type CallLimits } from './limits.js';
import { answerSchema, headOf, redactAnswer, type EngineAnswer, type EngineRequest } from './messages.js';
import { engineOptionsSchema, type EngineOptions, type EngineOptionsInput } from './options.js';
import { endOrphans } from './orphans.js';
import type {
  CellWish,
  ConvergeResult,
  Engine,
  EngineEvent,
  FoundCell,
  PoolConfigInForce,
  PoolStackWish,
  PreviewResult,
  PublishedMember,
  ServiceWish,
} from './port.js';
import { engineRedactor, type Redact } from './redact.js';

/** What happened to a call: an answer of the engine process, or the process's end. */
type Outcome = Exclude<EngineAnswer, { type: 'event' }> | { readonly type: 'died'; readonly message: string };

interface Pending {
  readonly onEvent: (event: EngineEvent) => void;
  /** Answers the caller, if it still waits, and forgets the call. */
  readonly end: (outcome: Outcome) => void;
}

interface Running {
  readonly child: ChildProcess;
  /** Every call of this process is answered with how it ended; the next call starts another. */
  readonly gone: (how: string) => void;
}

type Call = Extract<EngineRequest, { id: number }>;
type Question = Exclude<Call, { type: 'abort' }>;
type WithoutId<T> = T extends { id: number } ? Omit<T, 'id'> : never;

export type EngineClientInput = EngineOptionsInput & {
  /** The engine process's program; that of the product by default. */
  readonly processPath?: string;
  readonly limits?: Partial<CallLimits>;
};

/**
 * Opens the engine: one process, started with the first call and again after it died. At each start it ends
 * what an earlier one left behind, so no two engines of one installation and pool may live at a time; the
 * store's ownership is what guarantees that. Every call ends within its limit, also if the process is stuck.
 */
export const createEngine = (input: EngineClientInput): Promise<Engine> => {
  const { processPath, limits, ...rest } = input;
  const options = engineOptionsSchema.parse(rest);
  const path = processPath ?? join(options.repoRoot, 'dist', 'src', 'engine', 'process.js');
  return Promise.resolve(
    new EngineClient(options, path, { ...callLimits(options.createTimeoutMs), ...limits }),
  );
};

class EngineClient implements Engine {
  private running: Running | null = null;
  private redact: Redact = (text) => text;
  /** A process was killed: what it had started may still run. */
  private leftBehind = false;
  private closed = false;
  private nextId = 0;
  private readonly pending = new Map<number, Pending>();

  constructor(
    private readonly options: EngineOptions,
    private readonly processPath: string,
    private readonly limits: CallLimits,
  ) {}

  async converge(
    wish: CellWish,
    onEvent: (event: EngineEvent) => void,
    signal: AbortSignal,
  ): Promise<ConvergeResult> {
    const outcome = await this.call({ type: 'converge', wish }, signal, this.limits.cellMs, onEvent);
    if (outcome.type === 'converged') {
      return outcome.result;
    }
    return { ok: false, state: null, kind: signal.aborted ? 'aborted' : 'engine', message: failureOf(outcome) };
  }

  async preview(wish: CellWish, signal: AbortSignal): Promise<PreviewResult> {
    const outcome = await this.call({ type: 'preview', wish }, signal, this.limits.cellMs);
    if (outcome.type === 'previewed') {
      return outcome.result;
    }
    throw new Error(failureOf(outcome));
  }

  async poolOutputs(signal: AbortSignal): Promise<unknown> {
    const outcome = await this.call({ type: 'poolOutputs' }, signal, this.limits.otherMs);
    if (outcome.type === 'outputs') {
      return outcome.outputs;
    }
    throw new Error(failureOf(outcome));
  }

  async cells(signal: AbortSignal): Promise<readonly FoundCell[]> {
    // In a backend that is no directory each stack costs a process.
    const outcome = await this.call({ type: 'cells' }, signal, this.limits.cellMs);
    if (outcome.type === 'cells') {
      return outcome.cells;
    }
    throw new Error(failureOf(outcome));
  }

  async poolConfig(signal: AbortSignal): Promise<PoolConfigInForce | null> {
    const outcome = await this.call({ type: 'poolConfig' }, signal, this.limits.otherMs);
    if (outcome.type === 'poolConfig') {
      return outcome.config;
    }
    throw new Error(failureOf(outcome));
  }

  async updatePool(wish: PoolStackWish, signal: AbortSignal): Promise<void> {
    const outcome = await this.call(
      { type: 'updatePool', wish: { ...wish, config: { ...wish.config } } },
      signal,
      this.limits.serviceMs,
    );
    if (outcome.type !== 'published') {
      throw new Error(failureOf(outcome));
    }
  }

  async publishSummary(members: readonly PublishedMember[], signal: AbortSignal): Promise<void> {
    const plain = members.map((member) => ({ ...member, addresses: mutable(member.addresses) }));
    const outcome = await this.call({ type: 'publishSummary', members: plain }, signal, this.limits.otherMs);
    if (outcome.type !== 'published') {
      throw new Error(failureOf(outcome));
    }
  }

  async updateService(wish: ServiceWish, signal: AbortSignal): Promise<void> {
    const { members, slots, pool } = wish.input;
    const input = { pool, members: [...members], slots: { ...slots } };
    const outcome = await this.call(
      { type: 'updateService', wish: { ...wish, input } },
      signal,
      this.limits.serviceMs,
    );
    if (outcome.type !== 'published') {
      throw new Error(failureOf(outcome));
    }
  }

  async removeService(service: string, signal: AbortSignal): Promise<void> {
    const outcome = await this.call({ type: 'removeService', service }, signal, this.limits.serviceMs);
    if (outcome.type !== 'published') {
      throw new Error(failureOf(outcome));
    }
  }

  async listServices(signal: AbortSignal): Promise<readonly string[]> {
    const outcome = await this.call({ type: 'listServices' }, signal, this.limits.otherMs);
    if (outcome.type === 'services') {
      return outcome.services;
    }
    throw new Error(failureOf(outcome));
  }

  async close(): Promise<void> {
    this.closed = true;
    const { running } = this;
    if (running !== null) {
      const { child } = running;
      const exit = once(child, 'exit').catch(() => undefined);
      if (child.connected) {
        child.send({ type: 'close' } satisfies EngineRequest, () => undefined);
      }
      if (!(await endsWithin(exit, this.limits.closeMs))) {
        this.kill(running, 'it did not close in time');
        await endsWithin(exit, this.limits.sweepMs);
      }
    }
    if (this.leftBehind) {
      this.leftBehind = false;
      await endOrphans(markOf(this.options), this.limits.sweepMs);
    }
  }

  private call(
    question: WithoutId<Question>,
    signal: AbortSignal,
    limitMs: number,
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
      const running = this.process();
      const { child } = running;
      const overdue = (): void =>
        this.kill(running, `it was stuck: ${question.type} had not ended when its time was over`);
      let deadline = setTimeout(overdue, limitMs);
      let patience: NodeJS.Timeout | undefined;
      const abort = (): void => {
        if (child.connected) {
          child.send({ type: 'abort', id } satisfies EngineRequest, () => undefined);
        }
        const message = 'aborted; the engine is still bringing it to an end';
        patience = setTimeout(() => resolve({ type: 'died', message }), this.limits.abortAnswerMs);
        clearTimeout(deadline);
        deadline = setTimeout(overdue, Math.min(limitMs, this.limits.abortEndMs));
      };
      signal.addEventListener('abort', abort, { once: true });
      const end = (outcome: Outcome): void => {
        if (this.pending.delete(id)) {
          signal.removeEventListener('abort', abort);
          clearTimeout(deadline);
          clearTimeout(patience);
          resolve(outcome);
        }
      };
      this.pending.set(id, { onEvent, end });
      child.send({ ...question, id }, (error) => {
        if (error !== null) {
          end({ type: 'died', message: `the engine process does not take messages: ${error.message}` });
        }
      });
    });
  }

  private kill({ child, gone }: Running, why: string): void {
    child.kill('SIGKILL');
    // Not only when its end is reported: a process may hang in the kernel.
    gone(`was killed because ${why}`);
  }

  private process(): Running {
    if (this.running !== null) {
      return this.running;
    }
    const env = engineEnvironment(this.options, process.env);
    const redact = engineRedactor(this.options, env);
    const child = fork(this.processPath, [], {
      cwd: this.options.repoRoot,
      env,
      execArgv: [],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      serialization: 'json',
    });
    let lastWords = '';
    child.stderr?.setEncoding('utf8');
    child.stderr?.on('data', (text: string) => {
      lastWords = (lastWords + text).slice(-2000);
    });
    const gone = (how: string): void => {
      if (this.running?.child === child) {
        this.running = null;
        this.leftBehind = true;
        const words = redact(lastWords.trim());
        for (const pending of [...this.pending.values()]) {
          pending.end({ type: 'died', message: `the engine process ${how}${words === '' ? '' : `: ${words}`}` });
        }
      }
    };
    const running: Running = { child, gone };
    this.running = running;
    this.redact = redact;
    child.on('message', (message) => {
      if (this.running === running) {
        this.receive(message);
      }
    });
    child.on('error', (error) => gone(`failed (${error.message})`));
    child.on('exit', (code, killedBy) =>
      gone(killedBy === null ? `ended with ${String(code)}` : `was killed (${killedBy})`),
    );
    child.send({ type: 'configure', options: this.options } satisfies EngineRequest, () => undefined);
    return running;
  }

  private receive(message: unknown): void {
    const parsed = answerSchema.safeParse(message);
    if (parsed.success) {
      const answer = redactAnswer(parsed.data, this.redact);
      const pending = this.pending.get(answer.id);
      if (answer.type === 'event') {
        pending?.onEvent(answer.event);
      } else {
        pending?.end(answer);
      }
      return;
    }
    const { id, type } = headOf(message);
    // An event is news only: the call's result says the same when it ends.
    if (id !== null && type !== 'event') {
      const why = this.redact(z.prettifyError(parsed.error).replaceAll('\n', ' '));
      this.pending.get(id)?.end({ type: 'died', message: `the engine process's answer makes no sense: ${why}` });
    }
  }
}

/** Does it end before the limit? */
const endsWithin = async (end: Promise<unknown>, limitMs: number): Promise<boolean> => {
  const limit = new AbortController();
  const late = sleep(limitMs, false, { signal: limit.signal }).catch(() => false);
  const inTime = await Promise.race([end.then(() => true), late]);
  limit.abort();
  return inTime;
};

const failureOf = (outcome: Outcome): string =>
  outcome.type === 'died' || outcome.type === 'failed' ? outcome.message : `unexpected answer ${outcome.type}`;

const mutable = (addresses: Readonly<Record<string, readonly string[]>>): Record<string, string[]> =>
  Object.fromEntries(Object.entries(addresses).map(([network, list]) => [network, [...list]]));
