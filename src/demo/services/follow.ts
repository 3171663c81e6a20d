import { setTimeout as sleep } from 'node:timers/promises';
import { count } from '../../cli/table.js';
import type { StatusView } from '../../http/api.js';
import type { View } from '../view.js';
import type { Seen, Watched } from './watched.js';

const lookEveryMs = 1_000;

/** Looks at the daemons all the time, as a person before their screens would, and tells what changes. */
export class Onlooker {
  readonly #seen = new Map<string, Seen>();
  readonly #wrong = new Set<string>();
  /** Why the last look at a daemon failed. */
  readonly #unread = new Map<string, string>();
  readonly #stopped = new AbortController();
  #looking: Promise<void> = Promise.resolve();

  constructor(
    private readonly watched: readonly Watched[],
    private readonly view: View,
  ) {}

  start(): void {
    this.#looking = this.#look();
  }

  /** Alarms that were raised while it looked: there must be none, since VMs came and went as they should. */
  get alarms(): readonly string[] {
    return [...this.#wrong];
  }

  /** What keeps the daemons from showing exactly the pool's VMs, and each of them well; empty when nothing does. */
  missing(status: StatusView): readonly string[] {
    const members = new Set(status.members.map(({ name }) => name));
    return this.watched.flatMap(({ name }) => {
      const seen = this.#seen.get(name);
      if (seen === undefined) return [`${name} shows nothing yet`];
      const absent = [...members].filter((vm) => seen.hosts.get(vm) !== 'up');
      const surplus = [...seen.hosts.keys()].filter((vm) => !members.has(vm));
      const unread = this.#unread.get(name);
      return [
        ...(unread === undefined ? [] : [`${name} could not be read: ${unread}`]),
        ...(absent.length === 0 ? [] : [`${name} does not show ${absent.join(', ')} as up`]),
        ...(surplus.length === 0 ? [] : [`${name} still shows ${surplus.join(', ')}`]),
        ...wrongFigures(name, seen, status),
      ];
    });
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#looking;
  }

  async #look(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      for (const one of this.watched) {
        try {
          this.#take(one.name, await one.look());
          this.#unread.delete(one.name);
        } catch (error) {
          if (signal.aborted) return;
          // A daemon that is just starting or writing anew; if it stays so, `missing` says so.
          this.#take(one.name, nothing);
          this.#unread.set(one.name, error instanceof Error ? error.message : String(error));
        }
      }
      await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined);
    }
  }

  #take(name: string, now: Seen): void {
    const before = this.#seen.get(name) ?? nothing;
    this.#seen.set(name, now);
    const added = [...now.hosts.keys()].filter((vm) => !before.hosts.has(vm));
    const removed = [...before.hosts.keys()].filter((vm) => !now.hosts.has(vm));
    if (added.length + removed.length > 0) {
      const changes = [...added.map((vm) => `+${vm}`), ...removed.map((vm) => `-${vm}`)];
      this.view.line(`${name}: ${count(now.hosts.size, 'host')} (${changes.join(' ')})`);
    }
    for (const [vm, health] of now.hosts)
      if (health === 'up' && before.hosts.get(vm) !== 'up') this.view.line(`${name}: ${vm} is up`);
      else if (health === 'down' && before.hosts.get(vm) !== 'down') {
        this.view.line(`${name}: ALARM, ${vm} is down`);
        this.#wrong.add(`${name} raised an alarm for ${vm}`);
      }
    const figures = figuresText(now);
    if (figures !== '' && figures !== figuresText(before)) this.view.line(`${name}: the pool has ${figures}`);
  }
}

const nothing: Seen = { hosts: new Map(), figures: null };

const words = {
  free: 'Free',
  busy: 'Busy',
  unusable: 'Unusable',
  leases: 'leases',
  waiting: 'waiting',
} as const;

const figuresText = ({ figures }: Seen): string =>
  Object.entries(words)
    .flatMap(([figure, word]) => {
      const value = figures?.get(`vmpool_${figure}`);
      return value === undefined ? [] : [`${String(value)} ${word}`];
    })
    .join(', ');

/** The pool's figures as the daemon shows them are those of the status; it was told within the last 15 s. */
const wrongFigures = (name: string, { figures }: Seen, { counts }: StatusView): readonly string[] => {
  if (figures === null) return [];
  const right = Object.entries(counts).every(([figure, value]) => figures.get(`vmpool_${figure}`) === value);
  return right ? [] : [`${name} does not show the pool's figures of now`];
};
