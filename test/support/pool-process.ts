import { readFileSync, writeFileSync } from 'node:fs';
import { parse, stringify } from 'yaml';
import { Journal, parseLogLine, type LogLine } from '../../src/demo/journal.js';
import type { LeaseView, MemberView, StatusView } from '../../src/http/api.js';
import { createClient, type Client } from '../../src/http/client.js';
import { startServiceProcess, type ServiceProcess } from './service-process.js';
import { eventually, jobRequest, type Site } from './site.js';

/**
 * A pool as its users meet it: `vmpool serve` as a process, spoken to over HTTP. Survives its own kill: what it has
 * logged before and after is one journal.
 */
export class PoolProcess {
  readonly journal = new Journal();
  readonly lines: LogLine[] = [];
  #process: ServiceProcess | null = null;
  #worker: Client | null = null;
  #operator: Client | null = null;

  /** `patienceMs`: longest that anything may take; against hanging only. `lookEveryMs`: for those who wait. */
  constructor(
    private readonly site: Site,
    private readonly patienceMs: number,
    private readonly lookEveryMs?: number,
  ) {}

  async start(): Promise<void> {
    const { site } = this;
    this.#process = await startServiceProcess(site, (text) => {
      const line = parseLogLine(text);
      if (line === null) return;
      this.lines.push(line);
      this.journal.take(line);
    });
    this.#worker = createClient({ url: this.url, token: site.tokens.worker });
    this.#operator = createClient({ url: this.url, token: site.tokens.operator });
  }

  get url(): string {
    return this.#running.url;
  }

  get #running(): ServiceProcess {
    if (this.#process === null) throw new Error('the service does not run');
    return this.#process;
  }

  #closeClients(): void {
    this.#worker?.close();
    this.#operator?.close();
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    this.#closeClients();
    await this.#running.kill();
    this.#process = null;
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    this.#closeClients();
    await this.#process?.stop();
    this.#process = null;
  }

  /** Writes other rules into the configuration and lets the running service take them over. */
  async reconfigure(policy: Readonly<Record<string, unknown>>): Promise<void> {
    const { configFile } = this.site;
    const config = parse(readFileSync(configFile, 'utf8')) as { policy: Record<string, unknown> };
    writeFileSync(configFile, stringify({ ...config, policy: { ...config.policy, ...policy } }));
    const reloads = (): number => this.lines.filter(({ event }) => event === 'reload').length;
    const before = reloads();
    process.kill(this.#running.pid, 'SIGHUP');
    await this.until('the service to take its configuration over', () => reloads() > before);
  }

  async status(): Promise<StatusView> {
    if (this.#operator === null) throw new Error('the service does not run');
    return this.#operator.status();
  }

  /** Waits; when it is in vain, says how the pool stands and what it last did. */
  async until<T>(
    what: string,
    found: (status: StatusView) => T | Promise<T>,
  ): Promise<Exclude<T, undefined | false>> {
    try {
      return await eventually(
        what,
        this.patienceMs,
        async () => found(await this.status()),
        this.lookEveryMs,
      );
    } catch (error) {
      const status = await this.status().then(
        ({ members, problems, cells, requests }) =>
          JSON.stringify({ members, problems, cells, requests }, null, 1),
        (why: unknown) => String(why),
      );
      const last = this.lines.slice(-40).map(({ time, msg, vm }) => `${time} ${vm ?? ''} ${msg}`);
      throw new Error(`${String(error)}\n${status}\n${last.join('\n')}`, { cause: error });
    }
  }

  /** That many members, all of them usable, and nothing wrong. */
  async calm(free: number, busy: number): Promise<readonly MemberView[]> {
    const { members } = await this.until(
      `${String(free)} Free, ${String(busy)} Busy, nothing else and no problem`,
      (status) =>
        status.members.length === free + busy &&
        status.counts.free === free &&
        status.counts.busy === busy &&
        status.problems.length === 0 &&
        status,
    );
    return members;
  }

  /** Puts a request of job `n` into the line; its id. */
  async ask(n: number): Promise<string> {
    if (this.#worker === null) throw new Error('the service does not run');
    return (await this.#worker.request(jobRequest(n))).id;
  }

  /** Waits until the VM of job `n` is ready for it, asking first where nobody has. */
  async ready(n: number): Promise<LeaseView & { readonly vm: NonNullable<LeaseView['vm']> }> {
    const id = await this.ask(n);
    return this.until(`the VM of job ${String(n)}`, async () => {
      const lease = await this.#worker?.lease(id, { waitSeconds: 5, until: 'ready' });
      return lease?.ready === true && lease.vm !== null && { ...lease, vm: lease.vm };
    });
  }

  /** The worker says which jobs it has. */
  async sync(...jobs: readonly number[]): Promise<void> {
    await this.#worker?.sync({ jobs: jobs.map((n) => jobRequest(n).job), ageMs: 0 });
  }

  async release(...jobs: readonly number[]): Promise<void> {
    for (const n of jobs) {
      const { attempt, job } = jobRequest(n);
      await this.#worker?.release({ job, attempt, reason: 'job ended' });
    }
  }
}
