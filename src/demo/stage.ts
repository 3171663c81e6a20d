import { setTimeout as sleep } from 'node:timers/promises';
import { plainPulumi, type PlainPulumi } from '../cli/plain-pulumi.js';
import { changesOf, previewAll, previewStack } from '../cli/preview.js';
import { count, howLong } from '../cli/table.js';
import type { Terminal } from '../cli/terminal.js';
import { formatConfigErrors, loadConfig } from '../config/load.js';
import { readSecretFile } from '../config/secret-file.js';
import type { CloudControl } from '../embedded/control.js';
import type { StatusView } from '../http/api.js';
import { createClient } from '../http/client.js';
import { Journal } from './journal.js';
import { ownEnvironment, startCloud, startService } from './parts.js';
import { poolMax, poolMin, poolName, type Place } from './place.js';
import type { View } from './view.js';

const frameEveryMs = 400;

/** Keeps an eye on the pool. */
export interface Follower {
  stop(): void;
  /** The status as it is now. */
  status(): Promise<StatusView>;
}

/** What every demo has: a cloud, a pool and its service on a place of their own, and how they end in the right order. */
export class Stage {
  readonly journal = new Journal();
  readonly #closers: (() => Promise<readonly string[]>)[] = [];
  #status: StatusView | null = null;

  constructor(
    readonly place: Place,
    readonly view: View,
    readonly terminal: Terminal,
    private readonly live: boolean,
    readonly signal: AbortSignal,
  ) {}

  /** Ends with the demo, before everything that was opened earlier. `close` resolves with what did not end well. */
  owns(close: () => Promise<readonly string[]>): void {
    this.#closers.push(close);
  }

  /** Ends everything, the last started first. Resolves with what did not end well. */
  async stop(): Promise<readonly string[]> {
    const wrong: string[] = [];
    for (const close of this.#closers.splice(0).reverse()) {
      try {
        wrong.push(...(await close()));
      } catch (error) {
        wrong.push(error instanceof Error ? error.message : String(error));
      }
    }
    return wrong;
  }

  async openCloud(): Promise<CloudControl> {
    const cloud = await startCloud(this.place);
    this.owns(() => endedWell('the embedded cloud', cloud.process.stop()));
    this.view.line('cloud: an embedded OpenStack, reached by OS_AUTH_URL like any other');
    this.signal.throwIfAborted();
    return cloud.control;
  }

  /** As an operator or CI would: the pool's stack is brought up by the plain command line. */
  async bringUpPool(): Promise<PlainPulumi> {
    const { place, view } = this;
    const loaded = loadConfig(place.configFile, process.env);
    if (!loaded.ok) throw new Error(formatConfigErrors(place.configFile, loaded.errors));
    const pulumi = await plainPulumi(loaded.config, ownEnvironment());
    await this.#must(pulumi, ['--cwd', place.project, 'stack', 'init', poolName]);
    await this.up(pulumi);
    view.line(`pool stack: pulumi up --stack ${poolName} (min ${String(poolMin)}, max ${String(poolMax)})`);
    return pulumi;
  }

  /** `pulumi up` of the pool's stack with the config as it is now. */
  async up(pulumi: PlainPulumi): Promise<void> {
    const config = ['--config-file', this.place.poolConfig];
    await this.#must(pulumi, ['up', '--yes', '--skip-preview', '--stack', poolName, ...config]);
  }

  async #must(pulumi: PlainPulumi, args: readonly string[]): Promise<void> {
    const result = await pulumi.run(args, this.signal);
    this.signal.throwIfAborted();
    if (result.code !== 0)
      throw new Error(`pulumi ${args.join(' ')} failed:\n${result.stdout}${result.stderr}`);
  }

  /** Starts the service. Resolves with its address. */
  async startService(): Promise<string> {
    const service = await startService(this.place, this.journal);
    this.owns(() => endedWell('the service', service.process.stop()));
    this.view.line(`service: ready on ${service.url}`);
    return service.url;
  }

  /** Keeps the status of the service at `url` fresh, tells changes of VMs as lines, and draws the live part. */
  follow(url: string, screen: (status: StatusView | null) => readonly string[]): Follower {
    const token = readSecretFile(this.place.operatorTokenFile);
    const client = createClient({ url, token: token.ok ? token.secret : '' });
    this.owns(() => {
      client.close();
      return Promise.resolve([]);
    });
    const stopped = new AbortController();
    const seen = new Map<string, string>();
    const loop = async (): Promise<void> => {
      while (!stopped.signal.aborted && !this.signal.aborted) {
        try {
          this.#status = await client.status();
        } catch {
          // The service's own log tells; the next look shows whether it is back.
        }
        if (stopped.signal.aborted) return;
        if (!this.live && this.#status !== null) this.#tellVms(this.#status, seen);
        this.view.frame(screen(this.#status));
        await sleep(frameEveryMs, undefined, { signal: stopped.signal }).catch(() => undefined);
      }
    };
    void loop();
    return { stop: () => stopped.abort(), status: () => client.status(this.signal) };
  }

  #tellVms(status: StatusView, seen: Map<string, string>): void {
    const now = new Map(
      status.members.map((m) => [
        m.name,
        m.job === null
          ? `${m.state}${m.reason === null ? '' : `: ${m.reason}`}`
          : `Busy with ${m.job.id} of ${m.job.user}`,
      ]),
    );
    for (const [name, text] of now) if (seen.get(name) !== text) this.view.line(`VM ${name}: ${text}`);
    for (const name of seen.keys()) if (!now.has(name)) this.view.line(`VM ${name}: gone`);
    seen.clear();
    for (const [name, text] of now) seen.set(name, text);
  }

  async untilStatus(
    what: string,
    limitMs: number,
    holds: (status: StatusView) => boolean,
    missing: (status: StatusView) => readonly string[] = ({ problems }) => problems,
  ): Promise<void> {
    const end = performance.now() + limitMs;
    while (this.#status === null || !holds(this.#status)) {
      this.signal.throwIfAborted();
      if (performance.now() > end) {
        const problems =
          this.#status === null ? 'its status could not be read' : missing(this.#status).join('; ');
        throw new Error(`${what}: not within ${howLong(limitMs)}${problems === '' ? '' : ` (${problems})`}`);
      }
      await sleep(200, undefined, { signal: this.signal });
    }
  }

  /** Plain `pulumi preview` of the pool's stack, every cell and `others`: there must be nothing to do. */
  async preview(
    pulumi: PlainPulumi,
    status: StatusView,
    others: readonly string[] = [],
  ): Promise<readonly string[]> {
    const cells = pulumi.cells();
    const previews = await Promise.all([
      previewStack(pulumi, poolName, this.signal, ['--config-file', this.place.poolConfig]),
      previewAll(pulumi, [...cells, ...others], 2, this.signal),
    ]).then(([pool, rest]) => [pool, ...rest]);
    this.signal.throwIfAborted();
    const wrong = previews.flatMap((preview) => {
      if (preview.changes === null)
        return [`pulumi preview of ${preview.stack} failed: ${preview.lines.join(' ')}`];
      return changesOf(preview) === 0
        ? []
        : [`pulumi preview of ${preview.stack}: ${preview.lines.join('; ')}`];
    });
    const planned = previews
      .flatMap(({ instances }) => instances)
      .sort()
      .join(' ');
    const members = status.members
      .map(({ name }) => name)
      .sort()
      .join(' ');
    if (planned !== members) wrong.push(`the stacks hold ${planned || 'no VM'}, the pool has ${members}`);
    const known = status.cells.map(({ stack }) => stack).filter((stack) => !cells.includes(stack));
    for (const stack of known) wrong.push(`cell ${stack} has no stack on disk`);
    this.view.line(
      wrong.length === 0
        ? `pulumi preview: no change in ${previews.map(({ stack }) => stack).join(', ')}`
        : `pulumi preview: ${count(wrong.length, 'problem')}`,
    );
    return wrong;
  }
}

/** What a process says that ended. */
export const endedWell = async (what: string, ended: Promise<string>): Promise<readonly string[]> => {
  const how = await ended;
  return how === 'exit code 0' ? [] : [`${what} did not end well: ${how}`];
};
