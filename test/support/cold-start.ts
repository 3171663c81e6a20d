import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { table } from '../../src/cli/table.js';
import { plain } from '../../src/cli/terminal.js';
import type { LogLine } from '../../src/demo/journal.js';
import type { StatusView } from '../../src/http/api.js';

/** When a VM that was made for a job reached each stage, milliseconds since the epoch. */
export interface ColdStart {
  readonly vm: string;
  /** The user's `qsub`. */
  readonly submitted: number;
  /** The service heard of it and decided to make a VM. */
  readonly decided: number;
  /** Nova made its record; whole seconds. */
  readonly created: number;
  /** Nova's host had started it; whole seconds. */
  readonly launched: number;
  /** Its SSH port answered. */
  readonly port: number;
  /** Host keys, login, the image's contract and the baseline were in order. */
  readonly free: number;
  /** Account, key, environment and marker were there. */
  readonly staged: number;
  /** The job's first output arrived on the worker. */
  readonly running: number;
}

/** Where the time between two stages goes. */
const spans: readonly (readonly [string, keyof ColdStart, keyof ColdStart])[] = [
  ['hook', 'submitted', 'decided'],
  ['Pulumi', 'decided', 'created'],
  ['Nova', 'created', 'launched'],
  ['boot', 'launched', 'port'],
  ['SSH', 'port', 'free'],
  ['staging', 'free', 'staged'],
  ['files, start', 'staged', 'running'],
  ['all', 'submitted', 'running'],
];

/** A line for each VM, seconds. */
export const coldStartTable = (starts: readonly ColdStart[]): string =>
  table(
    [{ title: 'VM' }, ...spans.map(([title]) => ({ title: `${title} s`, align: 'right' as const }))],
    starts.map((start) => [
      start.vm,
      ...spans.map(([, from, to]) => ((Number(start[to]) - Number(start[from])) / 1000).toFixed(1)),
    ]),
    plain,
  );

/** When the log says that about the VM, or NaN. */
const told = (lines: readonly LogLine[], vm: string, what: RegExp): number =>
  Date.parse(
    lines.find((line) => line.vm === vm && what.test(`${line.event ?? ''}: ${line.msg}`))?.time ?? '',
  );

/** What the service's log and Nova's record tell of it. */
export const coldStartOf = (
  vm: string,
  lines: readonly LogLine[],
  nova: { readonly created: string; readonly launched: string | null },
  seen: { readonly submitted: number; readonly port: number; readonly running: number },
): ColdStart => ({
  vm,
  ...seen,
  decided: told(lines, vm, /^vm: decided/),
  created: Date.parse(nova.created),
  // Nova writes it without a zone, in UTC.
  launched: Date.parse(`${nova.launched ?? ''}Z`),
  free: told(lines, vm, /^vm: building -> Free/),
  staged: told(lines, vm, /^staged/),
});

const answers = (host: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host, port: 22, timeout: 2_000 });
    // Given up on this side, the server goes on with it there: one that is slow would only get slower.
    socket.once('connect', () => socket.setTimeout(60_000));
    const over = (yes: boolean) => (): void => {
      socket.destroy();
      resolve(yes);
    };
    // The first word of the server: a port that merely accepts is no SSH server yet.
    socket
      .once('data', over(true))
      .once('error', over(false))
      .once('timeout', over(false))
      .once('close', over(false));
  });

/** Notes when the SSH port of each member first answers. */
export class PortWatch {
  readonly first = new Map<string, number>();
  readonly #asked = new Map<string, Promise<void>>();
  readonly #stopped = new AbortController();
  readonly #ended: Promise<void>;

  constructor(status: () => Promise<StatusView>) {
    this.#ended = this.#watch(status);
  }

  async #watch(status: () => Promise<StatusView>): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      const { members } = await status();
      for (const { name, address } of members) {
        if (address === null || this.first.has(name) || this.#asked.has(name)) continue;
        this.#asked.set(name, this.#ask(name, address));
      }
      await sleep(200);
    }
    await Promise.all(this.#asked.values());
  }

  async #ask(name: string, address: string): Promise<void> {
    if (await answers(address)) this.first.set(name, Date.now());
    this.#asked.delete(name);
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#ended;
  }
}
