import { spawn, type ChildProcess } from 'node:child_process';
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { chmodSync, chownSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Duplex } from 'node:stream';
import {
  epilogueArguments,
  hookEnvironment,
  jobEnvironment,
  prologueArguments,
  qstatText,
  type Place,
} from './arguments.js';
import {
  fileNameOf,
  type EpilogueRun,
  type JobResult,
  type JobState,
  type Start,
  type Submission,
} from './job.js';
import { collect, sessionMembers, signalNumber } from './processes.js';
import { ServerDouble } from './server.js';
import { MomThread, type MomThreadOptions } from './thread.js';
import type { SandboxUser } from './worker-sandbox.js';

export interface MomOptions {
  /** Host path of the worker's root: `/` or a sandbox's. */
  readonly root: string;
  /** Turns a command into one that runs on the worker, with the pid that was spawned. */
  readonly enter: (...command: string[]) => [string, string[]];
  /** The compiled starter, as the worker sees it. */
  readonly starter: string;
  /** mom_priv's parent, as the worker sees it. */
  readonly home: string;
  /** As `$runningstarter` in mom_priv/config. */
  readonly jobStarter: string;
  readonly users: readonly SandboxUser[];
  readonly np?: number;
  /** Number of the first job: several moms of one server have different ones, since the server gives each number once. */
  readonly firstJob?: number;
  /** `$prologalarm`; the mom kills 10 s before it (`prologGraceMs`). */
  readonly prologAlarmMs?: number;
  readonly prologGraceMs?: number;
  /** How much later than the end of a prologue that took too long the mom notices it: up to 10 s. */
  readonly noticeMs?: number;
  /** How much later than `qdel -p` the mom hears of it: some 18 s. */
  readonly purgeMs?: number;
  /** Null: starts do not wait for each other. */
  readonly thread?: MomThreadOptions | null;
  /** The server's `disable_automatic_requeue`. */
  readonly disableAutomaticRequeue?: boolean;
  readonly epilogueLimitMs?: number;
  /** The server's `kill_delay`. */
  readonly killDelayMs?: number;
  readonly checkPollMs?: number;
  /** Starts of one job after which the double stops an endless loop. */
  readonly loopLimit?: number;
  /** Exit code that requeues (`automatic_requeue_exit_code`); null for none. */
  readonly requeueExitCode?: number | null;
}

interface Tracked {
  readonly id: string;
  readonly submission: Submission;
  readonly account: SandboxUser;
  readonly place: Place;
  readonly starts: Start[];
  readonly epilogues: EpilogueRun[];
  state: JobState;
  exitStatus: number;
  deleting: boolean;
  requeueing: boolean;
  terminal: ChildProcess | null;
  readonly listeners: Set<() => void>;
  walltimeAt: number | null;
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The worker's part of Torque, and as much of its server as the hooks can notice. */
export class Mom {
  readonly server: ServerDouble;
  readonly #jobs = new Map<string, Tracked>();
  readonly #children = new Set<ChildProcess>();
  #sequence: number;
  /** Epilogues do not run: as when the mom dies again, or the node before they begin. */
  loseEpilogues = false;
  readonly #thread: MomThread | null;
  #alive = true;
  /** Rises with every death of the mom: what an older life started tells it nothing any more. */
  #life = 0;

  constructor(private readonly options: MomOptions) {
    const { thread = null, firstJob = 28 } = options;
    this.#sequence = firstJob - 1;
    this.#thread = thread === null ? null : new MomThread(thread);
    for (const part of ['', 'mom_priv', 'mom_priv/jobs', 'spool', 'aux', 'stub']) this.#directory(part);
    this.server = new ServerDouble(this.#host('stub'), join(options.home, 'stub'));
  }

  #directory(part: string): void {
    mkdirSync(this.#host(part), { recursive: true, mode: 0o755 });
    chmodSync(this.#host(part), 0o755);
  }
  #host(part: string): string {
    return join(this.options.root, this.options.home, part);
  }
  #inside(part: string): string {
    return join(this.options.home, part);
  }

  /** Submits and starts it as soon as one of `np` processors is there for each of its ppn. Returns the job's id. */
  submit(submission: Submission): string {
    const account = this.options.users.find((user) => user.name === submission.user);
    if (account === undefined) throw new Error(`no account ${submission.user}`);
    if (submission.arrayIndex === undefined || submission.arrayIndex === 0) this.#sequence++;
    const index = submission.arrayIndex === undefined ? '' : `[${submission.arrayIndex}]`;
    const id = `${this.#sequence}${index}.server`;
    const group = account.groups.find((one) => one.gid === account.gid)?.name ?? account.name;
    const place: Place = {
      id,
      group,
      script: this.#inside(`mom_priv/jobs/${fileNameOf(id)}.SC`),
      nodefile: this.#inside(`aux/${id}`),
      host: hostname(),
    };
    this.#jobs.set(id, {
      ...{ id, submission, account, place, starts: [], epilogues: [], state: 'queued', exitStatus: 0 },
      ...{ deleting: false, requeueing: false, terminal: null, listeners: new Set(), walltimeAt: null },
    });
    this.#schedule();
    return id;
  }

  #job(id: string): Tracked {
    const job = this.#jobs.get(id);
    if (job === undefined) throw new Error(`no job ${id}`);
    return job;
  }
  #changed(job: Tracked): void {
    for (const listener of [...job.listeners]) listener();
  }

  #schedule(): void {
    if (!this.#alive) return;
    const busy = ['starting', 'running', 'ending'];
    for (const job of this.#jobs.values()) {
      if (job.state === 'held' && !this.server.isHeld(job.id)) job.state = 'queued';
      if (job.state !== 'queued') continue;
      const used = [...this.#jobs.values()]
        .filter((one) => busy.includes(one.state))
        .reduce((sum, one) => sum + (one.submission.ppn ?? 1), 0);
      if (used + (job.submission.ppn ?? 1) > (this.options.np ?? 4)) return;
      void this.#start(job);
    }
  }

  /** A hook with the wrong owner or mode is not run: the job requeues, and the mom's log says nothing. */
  #usable(hook: string): boolean {
    const stat = lstatSync(this.#host(`mom_priv/${hook}`), { throwIfNoEntry: false });
    return stat !== undefined && stat.isFile() && stat.uid === 0 && (stat.mode & 0o522) === 0o500;
  }

  async #start(job: Tracked): Promise<void> {
    const life = this.#life;
    const { submission, account, place } = job;
    job.state = 'starting';
    const start: Start = {
      ...{ count: job.starts.length + 1, starter: 0, prologue: 0, result: null },
      ...{ running: false, tracked: true, over: false, exitStatus: null },
    };
    job.starts.push(start);
    const environment = jobEnvironment(submission, place, account);
    this.server.describe(job.id, qstatText(submission, job.id, start.count, environment));
    const files = this.#writeFiles(job, environment);
    if (!this.#usable('prologue')) {
      start.result = 'mode 0';
      start.over = true;
      await wait(50);
      return this.#ended(job, start, life, -14, 0);
    }
    if (this.#thread === null) return this.#fork(job, start, life, files);
    await new Promise<void>((forked) => {
      const prologue = async (): Promise<void> => {
        const running = this.#fork(job, start, life, files);
        void running.finally(forked);
        while (start.result === null && !start.over) await wait(5);
      };
      void this.#thread?.start(prologue);
    });
  }

  /** Runs the prologue and then the job; what follows the end of either. */
  async #fork(
    job: Tracked,
    start: Start,
    life: number,
    files: { environment: string; line: string },
  ): Promise<void> {
    const { submission, account, place } = job;
    const groups = account.groups.map((one) => one.gid).join(',');
    const limit = (this.options.prologAlarmMs ?? 300_000) - (this.options.prologGraceMs ?? 10_000);
    const [command, args] = this.options.enter(
      this.options.starter,
      ...[`uid=${account.uid}`, `gid=${account.gid}`, `groups=${groups}`, `limit=${limit}`],
      ...[`priv=${this.#inside('mom_priv')}`, `home=${account.home}`],
      ...[`environment=${files.environment}`, `line=${files.line}`],
      ...[`pty=${submission.interactive === true ? 1 : 0}`, '--'],
      ...[this.#inside('mom_priv/prologue'), ...prologueArguments(submission, place), '--'],
      ...Object.entries(hookEnvironment(submission, place)).map(([name, value]) => `${name}=${value}`),
      ...['--', this.options.jobStarter, submission.shell ?? account.shell],
    );
    const out = openSync(this.#host(`spool/${job.id}.OU`), 'a', 0o600);
    const err = openSync(this.#host(`spool/${job.id}.ER`), 'a', 0o600);
    const child = spawn(command, args, {
      stdio: submission.interactive === true ? ['pipe', 'pipe', err, 'pipe'] : ['ignore', out, err, 'pipe'],
      detached: true,
      env: {},
      cwd: '/',
    });
    closeSync(out);
    closeSync(err);
    this.#children.add(child);
    if (submission.interactive === true) {
      job.terminal = child;
      child.stdin?.on('error', () => undefined);
      child.stdout?.on('data', (part: Buffer) => {
        writeFileSync(this.#host(`spool/${job.id}.OU`), part, { flag: 'a' });
        this.#changed(job);
      });
    }
    const report = child.stdio[3] as Duplex;
    createInterface({ input: report }).on('line', (line) => {
      const [what, ...rest] = line.split(' ');
      if (what === 'session') start.starter = Number(rest[0]);
      if (what === 'prologue') start.prologue = Number(rest[0]);
      if (what === 'result') start.result = rest.join(' ');
      if (what === 'job' && start.tracked && life === this.#life) {
        start.running = true;
        if (job.state === 'starting') {
          job.state = 'running';
          this.#watchWalltime(job, start, life);
        }
      }
      this.#changed(job);
    });
    const code = await new Promise<number>((resolve) =>
      child.once('close', (exit, signal) => resolve(exit ?? 256 + signalNumber(signal))),
    );
    this.#children.delete(child);
    start.over = true;
    start.exitStatus = code;
    this.#changed(job);
    // Whoever asked for the end (qdel, a new life of the mom) also does what follows.
    if (life !== this.#life || !start.tracked) return;
    const verdict = start.result ?? 'exit 1';
    if (verdict.startsWith('timeout')) await wait(this.options.noticeMs ?? 0);
    if (life !== this.#life) return;
    if (verdict === 'exit 1') return this.#ended(job, start, life, -2, 0);
    if (verdict !== 'exit 0' && !verdict.startsWith('signal')) {
      if (submission.interactive === true) return this.#ended(job, start, life, -2, 0);
      return this.#ended(job, start, life, -14, 0);
    }
    if (job.starts.at(-1) === start)
      await this.#ended(job, start, life, job.exitStatus !== 0 ? job.exitStatus : code, start.starter);
  }

  #writeFiles(job: Tracked, environment: Record<string, string>): { environment: string; line: string } {
    const { place, account, submission } = job;
    const write = (path: string, text: string, mode: number, uid = 0, gid = 0): void => {
      const host = join(this.options.root, path);
      writeFileSync(host, text);
      chmodSync(host, mode);
      chownSync(host, uid, gid);
    };
    write(place.script, submission.script, 0o700, account.uid, account.gid);
    write(place.script.replace(/SC$/, 'JB'), JSON.stringify({ job: job.id, session: 0 }), 0o644);
    write(place.nodefile, `${place.host}\n`.repeat(submission.ppn ?? 1), 0o644);
    const text = Object.entries(environment)
      .map(([name, value]) => `${name}=${value}\0`)
      .join('');
    write(this.#inside(`aux/${job.id}.env`), text, 0o644);
    const args = submission.args === undefined ? '' : ` ${submission.args}`;
    write(this.#inside(`aux/${job.id}.line`), `${place.script}${args}\n`, 0o644);
    return { environment: this.#inside(`aux/${job.id}.env`), line: this.#inside(`aux/${job.id}.line`) };
  }

  #watchWalltime(job: Tracked, start: Start, life: number): void {
    const limit = (job.submission.walltimeSeconds ?? 3600) * 1000;
    const timer = setInterval(() => {
      if (start.over || life !== this.#life) return clearInterval(timer);
      if (performance.now() - began < limit) return;
      clearInterval(timer);
      job.exitStatus = -11;
      void this.#killJob(start);
    }, this.options.checkPollMs ?? 1000);
    timer.unref();
    const began = performance.now();
  }

  /** SIGTERM to every process of the session, SIGKILL after kill_delay. */
  async #killJob(start: Start): Promise<void> {
    this.signalSession(start.starter, 'SIGTERM');
    const until = performance.now() + (this.options.killDelayMs ?? 2000);
    while (performance.now() < until && sessionMembers(start.starter).length > 0) await wait(20);
    this.signalSession(start.starter, 'SIGKILL');
  }

  signalSession(session: number, signal: NodeJS.Signals): void {
    for (const pid of sessionMembers(session))
      try {
        process.kill(pid, signal);
      } catch {
        // Gone meanwhile.
      }
  }

  async #ended(job: Tracked, start: Start, life: number, exitStatus: number, session: number): Promise<void> {
    job.state = 'ending';
    job.exitStatus = exitStatus;
    this.#changed(job);
    await this.#epilogue(job, session, exitStatus);
    if (life !== this.#life) return;
    const again =
      job.requeueing ||
      (!job.deleting &&
        ((exitStatus === -14 && this.options.disableAutomaticRequeue !== true) ||
          exitStatus === (this.options.requeueExitCode ?? null)));
    this.#afterEpilogue(job, again);
  }

  #afterEpilogue(job: Tracked, again: boolean): void {
    job.requeueing = false;
    if (again && job.starts.length < (this.options.loopLimit ?? 20)) {
      job.exitStatus = 0;
      job.state = this.server.isHeld(job.id) ? 'held' : 'queued';
    } else {
      job.state = 'complete';
      for (const kind of ['SC', 'JB'])
        rmSync(this.#host(`mom_priv/jobs/${fileNameOf(job.id)}.${kind}`), { force: true });
      rmSync(join(this.options.root, job.place.nodefile), { force: true });
      this.server.forget(job.id);
    }
    this.#changed(job);
    this.#schedule();
  }

  async #epilogue(job: Tracked, session: number, exitStatus: number): Promise<void> {
    if (this.loseEpilogues || !this.#usable('epilogue')) return;
    const run: EpilogueRun = {
      ...{ session: String(session), exitStatus: String(exitStatus) },
      ...{ pid: 0, code: null, ms: 0 },
    };
    job.epilogues.push(run);
    const began = performance.now();
    const args = epilogueArguments(job.submission, job.place, session, exitStatus);
    const [command, list] = this.options.enter(this.#inside('mom_priv/epilogue'), ...args);
    const out = openSync(this.#host(`spool/${job.id}.OU`), 'a', 0o600);
    const err = openSync(this.#host(`spool/${job.id}.ER`), 'a', 0o600);
    const child = spawn(command, list, {
      stdio: ['ignore', out, err],
      detached: true,
      env: hookEnvironment(job.submission, job.place),
      cwd: '/',
    });
    closeSync(out);
    closeSync(err);
    this.#children.add(child);
    run.pid = child.pid ?? 0;
    const timer = setTimeout(
      () => this.signalSession(child.pid ?? 0, 'SIGKILL'),
      this.options.epilogueLimitMs ?? 300_000,
    );
    run.code = await new Promise<number>((resolve) => child.once('exit', (code) => resolve(code ?? 256)));
    clearTimeout(timer);
    run.ms = Math.round(performance.now() - began);
    this.#children.delete(child);
    this.#changed(job);
  }

  /** qdel and qrerun: a job in its prologue is not told; its epilogue runs beside the prologue after kill_delay. */
  async #stop(job: Tracked, requeue: boolean): Promise<void> {
    const start = job.starts.at(-1);
    if (requeue) job.requeueing = true;
    else job.deleting = true;
    if (start === undefined || job.state === 'queued' || job.state === 'held')
      return this.#afterEpilogue(job, false);
    if (start.running) return this.#killJob(start);
    start.tracked = false;
    await wait(this.options.killDelayMs ?? 2000);
    await this.#ended(job, start, this.#life, 0, 0);
  }
  qdel(id: string): Promise<void> {
    return this.#stop(this.#job(id), false);
  }
  qrerun(id: string): Promise<void> {
    return this.#stop(this.#job(id), true);
  }
  /** `qdel -p`: the server forgets the job at once, the mom hears of it later. */
  async qdelPurge(id: string): Promise<void> {
    const job = this.#job(id);
    this.server.forget(id);
    job.deleting = true;
    await wait(this.options.purgeMs ?? 18_000);
    await this.#stop(job, false);
  }
  /** A qrerun whose SIGKILL, due kill_delay after the SIGTERM, comes late and hits the next start of the job. */
  async qrerunKillingLate(id: string): Promise<void> {
    const job = this.#job(id);
    const first = job.starts.at(-1);
    if (first === undefined) throw new Error(`job ${id} was never started`);
    job.requeueing = true;
    this.signalSession(first.starter, 'SIGTERM');
    await this.until(id, () => job.starts.length > first.count && job.state === 'running', 'the next start');
    this.signalSession(job.starts.at(-1)?.starter ?? 0, 'SIGKILL');
  }
  qsig(id: string, signal: NodeJS.Signals): void {
    const start = this.#job(id).starts.at(-1);
    if (start !== undefined) this.signalSession(start.starter, signal);
  }
  qrls(id: string): void {
    rmSync(this.#host(`stub/${id}.held`), { force: true });
    this.#schedule();
  }
  /** The scheduler's next round. */
  poll(): void {
    this.#schedule();
  }

  /** A task of pbsdsh: comes through the job starter too, in a session of its own. */
  pbsdsh(
    id: string,
    command: readonly string[],
    taskNumber = 2,
  ): Promise<{ code: number; stdout: string; stderr: string }> {
    const job = this.#job(id);
    const environment = {
      ...jobEnvironment(job.submission, job.place, job.account),
      PBS_TASKNUM: String(taskNumber),
    };
    return this.runAsUser(job.account, [this.options.jobStarter, ...command], environment);
  }

  /** Runs a command on the worker as that user, in a session of its own, without input. */
  runAsUser(
    account: SandboxUser,
    command: readonly string[],
    environment: Readonly<Record<string, string>>,
  ): Promise<{ code: number; stdout: string; stderr: string }> {
    const groups = account.groups.map((one) => one.gid).join(',');
    const [program, args] = this.options.enter(
      ...[
        'setpriv',
        `--reuid=${account.uid}`,
        `--regid=${account.gid}`,
        `--groups=${groups}`,
        '--',
        ...command,
      ],
    );
    return collect(
      spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env: environment, cwd: '/' }),
    );
  }

  /** A hook that Torque or cron runs by itself: the node check, the sync. */
  runHook(path: string, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const [program, list] = this.options.enter(path, ...args);
    const env = { PATH: '/bin:/usr/bin' };
    return collect(
      spawn(program, list, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env, cwd: '/' }),
    );
  }

  /** The mom dies; what it started goes on. */
  kill(): void {
    this.#alive = false;
    this.#life++;
    for (const job of this.#jobs.values()) for (const start of job.starts) start.tracked = false;
  }

  /** The node loses its power. `down` ends every process and gives it another boot id. */
  async reboot(down: () => void): Promise<void> {
    this.kill();
    down();
    await wait(50);
    await this.restart('reboot');
  }

  /** Starts it again. `default`: running jobs are adopted; `q`: requeued while their processes run; `r`: killed first. `reboot`: over. */
  async restart(mode: 'default' | 'q' | 'r' | 'reboot', startAgainAfterMs = 200): Promise<void> {
    this.#alive = true;
    const life = this.#life;
    const recoveries = [...this.#jobs.values()].map(async (job) => {
      const start = job.starts.at(-1);
      if (start === undefined || job.state === 'queued' || job.state === 'complete' || job.state === 'held')
        return;
      if (job.state === 'ending') {
        await this.#epilogue(job, start.running ? start.starter : 0, job.exitStatus);
        return this.#afterEpilogue(job, false);
      }
      if (!start.running) {
        await this.#epilogue(job, 0, -3);
        await wait(startAgainAfterMs);
        return this.#afterEpilogue(job, true);
      }
      // Looks like success.
      if (mode === 'reboot') return this.#ended(job, start, life, 0, start.starter);
      if (mode === 'default') {
        void (async () => {
          while (sessionMembers(start.starter).length > 0 && life === this.#life) await wait(20);
          // The exit code is lost with the mom that was the parent.
          if (life === this.#life) await this.#ended(job, start, life, 0, start.starter);
        })();
        return;
      }
      if (mode === 'r') this.signalSession(start.starter, 'SIGKILL');
      await this.#epilogue(job, start.starter, -4);
      this.#afterEpilogue(job, true);
    });
    await Promise.all(recoveries);
  }

  state(id: string): JobState {
    return this.#job(id).state;
  }
  exitStatus(id: string): number {
    return this.#job(id).exitStatus;
  }
  starts(id: string): readonly Start[] {
    return this.#job(id).starts;
  }
  epilogues(id: string): readonly EpilogueRun[] {
    return this.#job(id).epilogues;
  }
  stdout(id: string): Buffer {
    return this.#read(`${id}.OU`);
  }
  stderr(id: string): string {
    return this.#read(`${id}.ER`).toString();
  }
  #read(name: string): Buffer {
    const path = this.#host(`spool/${name}`);
    return existsSync(path) ? readFileSync(path) : Buffer.alloc(0);
  }
  /** What the user of an interactive job types. */
  type(id: string, text: string): void {
    this.#job(id).terminal?.stdin?.write(text);
  }

  /** Resolves when the condition holds; the double looks whenever something happens, and every 20 ms. */
  async until(id: string, holds: () => boolean, what: string, limitMs = 30_000): Promise<void> {
    const job = this.#job(id);
    const end = performance.now() + limitMs;
    while (!holds()) {
      if (performance.now() > end)
        throw new Error(
          `job ${id}: ${what} did not happen within ${limitMs} ms; it is ${job.state}, ${JSON.stringify(job.starts)}, stderr: ${this.stderr(id)}`,
        );
      await Promise.race([wait(20), new Promise<void>((resolve) => job.listeners.add(resolve))]);
      job.listeners.clear();
    }
  }
  async running(id: string, limitMs?: number): Promise<void> {
    await this.until(id, () => this.state(id) === 'running', 'running', limitMs);
  }
  async finished(id: string, limitMs?: number): Promise<JobResult> {
    const job = this.#job(id);
    await this.until(id, () => job.state === 'complete' || job.state === 'held', 'its end', limitMs);
    const { state, exitStatus, starts } = job;
    // With exit 1 of the prologue Torque delivers nothing.
    const delivered = exitStatus !== -2;
    return {
      ...{ id, state, exitStatus, starts: starts.length },
      stdout: delivered ? this.stdout(id) : Buffer.alloc(0),
      stderr: delivered ? this.stderr(id) : '',
    };
  }

  /** Ends every process that it started, whatever became of it. */
  close(): void {
    this.kill();
    for (const job of this.#jobs.values())
      for (const start of job.starts)
        for (const session of [start.starter, start.prologue])
          if (session > 1) this.signalSession(session, 'SIGKILL');
    for (const child of this.#children) child.kill('SIGKILL');
  }
}
