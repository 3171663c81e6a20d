import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { JobResult } from '../../test/mom/job.js';
import { plainPulumi, type PlainPulumi } from '../cli/plain-pulumi.js';
import { changesOf, previewAll, previewStack } from '../cli/preview.js';
import { count, howLong } from '../cli/table.js';
import { plain, type Terminal } from '../cli/terminal.js';
import { formatConfigErrors, loadConfig } from '../config/load.js';
import { readSecretFile } from '../config/secret-file.js';
import type { CloudControl } from '../embedded/control.js';
import type { StatusView } from '../http/api.js';
import { createClient, type Client } from '../http/client.js';
import { startJanitor } from './janitor.js';
import { Journal } from './journal.js';
import { leftOfJobs, leftOnMachine, lookAtMachine } from './leftovers.js';
import { demoLoad } from './load.js';
import { ownEnvironment, startCloud, startService } from './parts.js';
import { freeSubnet, makePlace, poolMax, poolMin, poolName, type Place } from './place.js';
import { playOut, submitAll, type PlayedJob } from './play.js';
import { costOf, liveScreen, resultTable } from './screen.js';
import { createView, type View } from './view.js';
import { demoUids, DemoWorker } from './worker.js';

export interface DemoOptions {
  /** Leave the directory with configuration, logs and outputs. */
  readonly keep: boolean;
  /** Progress lines even on a terminal. */
  readonly plain: boolean;
  /** Progress goes to standard error, the outcome as JSON to standard output. */
  readonly json: boolean;
}

const shrinkLimitMs = 120_000;
const frameEveryMs = 400;

/**
 * The whole path, once, on this machine: embedded cloud, service, worker with the real hooks, a mixed load of jobs.
 * Resolves with 0 only if every job ended as it should, the pool went back to its minimum, Pulumi sees nothing to
 * change and nothing is left over; with 130 after Ctrl-C. Removes everything that it made.
 */
export const runDemo = async (options: DemoOptions, given: Terminal): Promise<number> => {
  const toStderr = (text: string): void => given.err(text.replace(/\n$/, ''));
  const terminal: Terminal = options.json
    ? { ...given, interactive: false, paint: plain, out: toStderr, write: toStderr }
    : given;
  if (process.getuid?.() !== 0) {
    terminal.err(
      'vmpool demo needs root: the servers of its cloud are sandboxes in namespaces and mounts of their own.\nRun it as root, for example in a throw-away VM or container: sudo make demo',
    );
    return 1;
  }
  const began = performance.now();
  const live = terminal.interactive && !options.plain;
  const view = createView(terminal, live, () => performance.now() - began);
  const interrupted = new AbortController();
  let signals = 0;
  const onSignal = (): void => {
    signals += 1;
    // The janitor and the kernel do the rest when this process ends at once.
    if (signals > 1) process.exit(130);
    view.settle();
    view.line('interrupted: cleaning up (once more to leave at once)');
    interrupted.abort();
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  const before = lookAtMachine();
  const place = makePlace(freeSubnet(process.pid));
  const endJanitor = startJanitor(place, options.keep);
  const demo = new Demo(place, view, terminal, live, interrupted.signal);
  let problems: readonly string[];
  try {
    problems = await demo.run();
  } catch (error) {
    problems = interrupted.signal.aborted ? [] : [error instanceof Error ? error.message : String(error)];
  }
  view.settle();
  const leftOpen = await demo.stop();
  await endJanitor();
  const left = [
    ...leftOpen,
    ...leftOnMachine(place.directory, before, demoUids, [process.pid, process.ppid]),
  ];
  if (left.length === 0) view.line('everything has stopped; nothing is left on this machine');
  if (options.keep) view.line(`kept: ${place.directory}`);
  else rmSync(place.directory, { recursive: true, force: true });
  process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  const all = [...problems, ...left.map((what) => `left over: ${what}`)];
  for (const problem of all) terminal.out(`${terminal.paint('red', 'WRONG')}  ${problem}`);
  if (interrupted.signal.aborted) return 130;
  if (options.json)
    given.out(JSON.stringify({ ok: all.length === 0, problems: all, jobs: demo.costs() }, null, 2));
  terminal.out(
    all.length === 0
      ? terminal.paint('green', `The demo went as it should, in ${howLong(performance.now() - began)}.`)
      : terminal.paint('red', `The demo found ${count(all.length, 'problem')}.`),
  );
  return all.length === 0 ? 0 : 1;
};

/** What runs during a demo, and how it is ended in the right order. */
class Demo {
  readonly #journal = new Journal();
  readonly #closers: (() => Promise<readonly string[]>)[] = [];
  #status: StatusView | null = null;
  #jobs: readonly PlayedJob[] = [];

  constructor(
    private readonly place: Place,
    private readonly view: View,
    private readonly terminal: Terminal,
    private readonly live: boolean,
    private readonly signal: AbortSignal,
  ) {}

  /** Resolves with everything that is not as it should be. */
  async run(): Promise<readonly string[]> {
    const { view, place, signal } = this;
    const control = await this.#openCloud();
    const pulumi = await this.#bringUpPool();
    const service = await startService(place, this.#journal);
    this.#closers.push(() => endedWell('the service', service.process.stop()));
    view.line(`service: ready on ${service.url}`);
    const worker = await DemoWorker.start(place, service.url);
    this.#closers.push(async () => {
      await worker.stop();
      return [];
    });
    view.line(
      `worker: hooks installed for ${String(poolMax)} processors; users ${Object.keys(worker.users).join(', ')}`,
    );
    const client = this.#openClient(service.url);
    const follower = this.#follow(client, worker);
    try {
      await this.#untilStatus(
        'the pool takes over its shape and its first VM is Free',
        90_000,
        (status) => status.counts.free >= poolMin,
      );
      const refused = await worker.nodeCheck();
      view.line(`node check: ${refused === '' ? 'Torque may send jobs' : refused}`);
      const problems = [
        ...(refused === '' ? [] : [`the node check said: ${refused}`]),
        ...(await this.#play(worker, control)),
        ...(await this.#shrink()),
      ];
      follower.stop();
      view.settle();
      this.terminal.out(`\n${resultTable(this.#jobs, this.#journal, this.terminal.paint)}\n`);
      const status = await client.status(signal);
      const left = leftOfJobs(status, await control.servers(), worker, demoUids);
      view.line(
        left.length === 0
          ? 'left over of the jobs: nothing (VMs, accounts, files, processes, leases, spool)'
          : `left over of the jobs: ${count(left.length, 'thing')}`,
      );
      return [
        ...problems,
        ...left.map((what) => `left over of the jobs: ${what}`),
        ...(await this.#preview(pulumi, status)),
      ];
    } finally {
      follower.stop();
    }
  }

  /** What each job cost and what came of it, for programs. */
  costs(): readonly object[] {
    return this.#jobs.map((played) => {
      const { result = null, problems = [] } = played.outcome ?? {};
      const cost = costOf(played, this.#journal, Date.now());
      return {
        id: played.id,
        user: played.job.user,
        what: played.job.what,
        ...cost,
        starts: result?.starts ?? null,
        exitStatus: result?.exitStatus ?? null,
        problems,
      };
    });
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

  async #openCloud(): Promise<CloudControl> {
    const cloud = await startCloud(this.place);
    this.#closers.push(() => endedWell('the embedded cloud', cloud.process.stop()));
    this.view.line('cloud: an embedded OpenStack, reached by OS_AUTH_URL like any other');
    this.signal.throwIfAborted();
    return cloud.control;
  }

  /** As an operator or CI would: the pool's stack is brought up by the plain command line. */
  async #bringUpPool(): Promise<PlainPulumi> {
    const { place, view, signal } = this;
    const loaded = loadConfig(place.configFile, process.env);
    if (!loaded.ok) throw new Error(formatConfigErrors(place.configFile, loaded.errors));
    const pulumi = await plainPulumi(loaded.config, ownEnvironment());
    const commands = [
      ['--cwd', place.project, 'stack', 'init', poolName],
      ['up', '--yes', '--skip-preview', '--stack', poolName, '--config-file', place.poolConfig],
    ];
    for (const args of commands) {
      const result = await pulumi.run(args, signal);
      signal.throwIfAborted();
      if (result.code !== 0)
        throw new Error(`pulumi ${args.join(' ')} failed:\n${result.stdout}${result.stderr}`);
    }
    view.line(`pool stack: pulumi up --stack ${poolName} (min ${String(poolMin)}, max ${String(poolMax)})`);
    return pulumi;
  }

  #openClient(url: string): Client {
    const token = readSecretFile(this.place.operatorTokenFile);
    const client = createClient({ url, token: token.ok ? token.secret : '' });
    this.#closers.push(() => {
      client.close();
      return Promise.resolve([]);
    });
    return client;
  }

  /** Keeps the status fresh, tells changes of VMs as lines, and draws the live part. */
  #follow(client: Client, worker: DemoWorker): { stop(): void } {
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
        this.view.frame(
          liveScreen(
            this.#status,
            this.#jobs,
            (id) => worker.mom.state(id),
            this.#journal,
            this.terminal.paint,
            Date.now(),
          ),
        );
        await sleep(frameEveryMs, undefined, { signal: stopped.signal }).catch(() => undefined);
      }
    };
    void loop();
    return { stop: () => stopped.abort() };
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

  async #untilStatus(what: string, limitMs: number, holds: (status: StatusView) => boolean): Promise<void> {
    const end = performance.now() + limitMs;
    while (this.#status === null || !holds(this.#status)) {
      this.signal.throwIfAborted();
      if (performance.now() > end) {
        const problems = this.#status?.problems.join('; ') ?? 'its status could not be read';
        throw new Error(`${what}: not within ${howLong(limitMs)}${problems === '' ? '' : ` (${problems})`}`);
      }
      await sleep(200, undefined, { signal: this.signal });
    }
  }

  async #play(worker: DemoWorker, control: CloudControl): Promise<readonly string[]> {
    this.#jobs = submitAll(demoLoad(worker), worker);
    this.view.line(`${count(this.#jobs.length, 'job')} of three users submitted`);
    const killVmOf = async (job: string): Promise<void> => {
      const vm = this.#journal.vmOf(job);
      if (vm === null) throw new Error(`job ${job} is on no VM`);
      this.view.line(`VM ${vm} of job ${job} is made to die`);
      await control.order(vm, { do: 'die', status: 'SHUTOFF' });
    };
    await playOut(this.#jobs, worker, killVmOf, this.signal, ({ id, job, outcome }) => {
      this.#keepOutput(id, outcome?.result ?? null);
      const how = outcome?.result == null ? 'no end' : `exit ${String(outcome.result.exitStatus)}`;
      const verdict =
        outcome?.problems.length === 0 ? 'as expected' : `WRONG: ${outcome?.problems.join('; ') ?? ''}`;
      this.view.line(`job ${id} (${job.user}, ${job.what}): ${how}, ${verdict}`);
    });
    return this.#jobs.flatMap(({ id, outcome }) =>
      (outcome?.problems ?? []).map((problem) => `job ${id}: ${problem}`),
    );
  }

  /** For a look at them afterwards (--keep). */
  #keepOutput(id: string, result: JobResult | null): void {
    if (result === null) return;
    writeFileSync(join(this.place.jobsDirectory, `${id}.out`), result.stdout, { mode: 0o600 });
    writeFileSync(join(this.place.jobsDirectory, `${id}.err`), result.stderr, { mode: 0o600 });
  }

  async #shrink(): Promise<readonly string[]> {
    this.view.line(`all jobs are over; the pool shrinks to ${count(poolMin, 'VM')}`);
    try {
      await this.#untilStatus(
        'the pool shrinks to its minimum',
        shrinkLimitMs,
        ({ members, counts, cells }) =>
          members.length === poolMin &&
          counts.free === poolMin &&
          counts.waiting === 0 &&
          cells.every((cell) => !cell.running),
      );
      this.view.line('the pool is at its minimum');
      return [];
    } catch (error) {
      this.signal.throwIfAborted();
      return [error instanceof Error ? error.message : String(error)];
    }
  }

  /** Plain `pulumi preview` of the pool's stack and every cell: there must be nothing to do. */
  async #preview(pulumi: PlainPulumi, status: StatusView): Promise<readonly string[]> {
    const cells = pulumi.cells();
    const previews = await Promise.all([
      previewStack(pulumi, poolName, this.signal, ['--config-file', this.place.poolConfig]),
      previewAll(pulumi, cells, 2, this.signal),
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

const endedWell = async (what: string, ended: Promise<string>): Promise<readonly string[]> => {
  const how = await ended;
  return how === 'exit code 0' ? [] : [`${what} did not end well: ${how}`];
};
