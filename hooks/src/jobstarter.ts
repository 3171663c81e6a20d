import { existsSync, writeFileSync } from 'node:fs';
import { constants, userInfo } from 'node:os';
import { join } from 'node:path';
import type { WorkerConfig } from './config.js';
import { collectCredentials } from './credentials.js';
import { copyBack, copyIn, planCopies } from './remote/copying.js';
import { Ssh } from './remote/ssh.js';
import { ServiceClient } from './service-client.js';
import { keyFile, readTicket, runDirectory, stamps, type LeaseTicket } from './spool/lease-files.js';
import { admit } from './starter/admission.js';
import { CredentialWatch } from './starter/credential-watch.js';
import { jobEnvironment, rawArguments, rawEnvironment } from './starter/input.js';
import { forwarded, Run, type Forwarded } from './starter/run.js';
import { prepareTask, remoteDirectory } from './starter/task.js';
import { waitForVm } from './starter/waiting.js';

/** No VM, or no longer: with the server's `automatic_requeue_exit_code=99` Torque starts the job again. */
export const exitAgain = 99;
/** This start may not run the job; another start of it would fare no better. */
export const exitRefused = 98;
/** The job ran, and its files could not be brought back. Only where the job itself ended with 0. */
export const exitFilesLost = 97;

/** Credentials that were read so long ago are read again before they are copied. */
const freshMs = 1000;
const copyLimitMs = 24 * 3600 * 1000;

const say = (message: string): void => {
  process.stderr.write(`vmpool: ${message}\n`);
};

/** Runs as the job's user in the job's place: `shell`, or the command of a pbsdsh task. Returns the exit code. */
export async function jobStarter(config: WorkerConfig, command: readonly string[]): Promise<number> {
  const environment = jobEnvironment(rawEnvironment());
  const job = environment.get('PBS_JOBID');
  if (job === null || command.length === 0) {
    say('this is a Torque job starter: it needs PBS_JOBID and a command');
    return exitRefused;
  }
  const signals = new SignalSwitch();
  const looksLikeTask = command.length > 1 || Number(environment.get('PBS_TASKNUM') ?? '1') > 1;
  const admission = admit(config, job, looksLikeTask);
  if (admission.kind === 'refused') {
    say(`job ${job} is not run: ${admission.why}`);
    return admission.again ? exitAgain : exitRefused;
  }
  const { ticket, attemptDirectory, kind } = admission;
  const waiting = waitForVm(config, ticket, say, signals.signal).catch((error: unknown) => {
    if (signals.last === null) throw error;
    return null;
  });
  // Meanwhile, since most jobs wait: what needs no VM.
  const me = whoAmI(ticket);
  const collect = (): ReturnType<typeof collectCredentials> =>
    collectCredentials(
      config,
      me,
      (name) => environment.get(name),
      ticket.prepared,
      join(attemptDirectory, 'lease'),
    );
  const began = performance.now();
  let credentials = collect();
  const directory = remoteDirectory(config, ticket.lease);
  const plan = planCopies(config, me, ticket.workDirectory);
  const prepared = prepareTask({ config, ticket, kind, command: rawArguments(command.length), environment });
  if ('why' in prepared) {
    say(`job ${job} is not run: ${prepared.why}`);
    return exitRefused;
  }
  const waited = await waiting;
  if (waited === null || signals.last !== null) {
    say(`job ${job} was ended while it waited for a VM`);
    return 128 + constants.signals[`SIG${signals.last ?? 'TERM'}`];
  }
  if (waited.kind === 'refused') {
    say(`job ${job} is not run: ${waited.why}`);
    return exitRefused;
  }
  if (waited.kind === 'again') {
    say(`job ${job}: ${waited.why}`);
    return exitAgain;
  }
  const { vm } = waited;
  const ssh = new Ssh(
    config.ssh,
    vm,
    ticket.lease,
    keyFile(attemptDirectory),
    runDirectory(attemptDirectory),
  );
  if (kind === 'job' && plan.in.paths.length + plan.back.paths.length > 0) {
    const copied = await copyIn(ssh, directory, plan.in, copyLimitMs);
    if (!copied.ok) {
      say(`job ${job} is not run: its files could not be copied to VM ${vm.member}: ${copied.why}`);
      return exitAgain;
    }
    writeFileSync(join(runDirectory(attemptDirectory), stamps.copiedIn), '');
  }
  // They may have been renewed while it waited for the VM or for its files.
  if (performance.now() - began > freshMs) credentials = collect();
  const task = prepared(vm, credentials);
  const umask = process.umask(0o077);
  const run = new Run(ssh, task, umask);
  signals.handOver(run);
  const watch = kind === 'job' ? new CredentialWatch(ssh, collect, credentials, config.renewMs, say) : null;
  const end = await run.toEnd();
  watch?.stop();
  if (end.kind === 'lost') {
    say(`VM ${vm.member} (${vm.host}) was lost while job ${job} was on it: ${end.why}`);
    return run.lastSignal === null ? exitAgain : 128 + constants.signals[`SIG${run.lastSignal}`];
  }
  if (kind === 'job' && plan.back.paths.length > 0) {
    process.umask(umask);
    const back = await copyBack(ssh, directory, plan.back, copyLimitMs);
    if (back.ok) writeFileSync(join(runDirectory(attemptDirectory), stamps.copiedBack), '');
    else {
      say(
        `the files of job ${job} could not be copied back from VM ${vm.member} (${vm.host}), ${plan.back.paths.join(', ')}: ${back.why}; it is tried once more`,
      );
      return end.code === 0 ? exitFilesLost : end.code;
    }
  }
  return end.code;
}

/**
 * The epilogue's helper, run as the user: brings back what a job left on its VM whose starter could not. Ends what
 * still runs there first. 0 also when there is nothing to bring.
 */
export async function bringBack(
  config: WorkerConfig,
  attemptDirectory: string,
  limitMs: number,
): Promise<number> {
  const ticket = readTicket(attemptDirectory);
  const run = runDirectory(attemptDirectory);
  if (ticket === null || !existsSync(join(run, stamps.copiedIn)) || existsSync(join(run, stamps.copiedBack)))
    return 0;
  const client = new ServiceClient(ticket.service.url, ticket.service.caFile, ticket.capability);
  const answer = await client.lease(ticket.lease, 0, 'granted');
  const vm = answer.kind === 'done' && answer.value.state === 'granted' ? answer.value.vm : null;
  if (vm === null) {
    const why = answer.kind === 'done' ? `the lease is ${answer.value.state}` : 'the lease cannot be read';
    process.stderr.write(`${why}${answer.kind === 'unreachable' ? `: ${answer.why}` : ''}\n`);
    // An ended lease has no VM to copy from, and none to hold.
    return answer.kind === 'unreachable' ? 1 : 0;
  }
  const ssh = new Ssh(config.ssh, vm, ticket.lease, keyFile(attemptDirectory), run);
  const plan = planCopies(config, whoAmI(ticket), ticket.workDirectory).back;
  const back = await copyBack(ssh, remoteDirectory(config, ticket.lease), plan, limitMs);
  if (back.ok) {
    writeFileSync(join(run, stamps.copiedBack), '');
    return 0;
  }
  process.stderr.write(`VM ${vm.member} (${vm.host}), ${plan.paths.join(', ')}: ${back.why}\n`);
  return 1;
}

function whoAmI(ticket: LeaseTicket): { user: string; uid: number; home: string; job: string } {
  const { username, uid } = userInfo();
  return { user: username, uid, home: ticket.home, job: ticket.job };
}

/** Signals end the waiting; once the job is on the VM they belong to it. */
class SignalSwitch {
  readonly #abort = new AbortController();
  #run: Run | null = null;
  last: Forwarded | null = null;

  constructor() {
    for (const name of forwarded)
      process.on(`SIG${name}`, () => {
        if (this.#run !== null) return this.#run.signal(name);
        // Stop and continue mean nothing to a job that has not begun.
        if (name === 'CONT' || name === 'TSTP') return;
        this.last = name;
        this.#abort.abort();
      });
    process.on('SIGWINCH', () => this.#run?.resized());
  }
  get signal(): AbortSignal {
    return this.#abort.signal;
  }
  handOver(run: Run): void {
    this.#run = run;
  }
}
