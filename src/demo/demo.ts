import { rmSync } from 'node:fs';
import { exitCodes } from '../cli/exit.js';
import { count, howLong } from '../cli/table.js';
import { plain, type Terminal } from '../cli/terminal.js';
import { startJanitor } from './janitor.js';
import { JobsDemo } from './jobs-demo.js';
import { leftOnMachine, lookAtMachine } from './leftovers.js';
import { freeSubnet, makePlace } from './place.js';
import { ServicesDemo } from './services/services-demo.js';
import { Stage } from './stage.js';
import { createView } from './view.js';
import { demoUids } from './worker.js';

export interface DemoOptions {
  /** Leave the directory with configuration, logs and outputs. */
  readonly keep: boolean;
  /** Progress lines even on a terminal. */
  readonly plain: boolean;
  /** Progress goes to standard error, the outcome as JSON to standard output. */
  readonly json: boolean;
  /** Instead of jobs: services of the site that follow the pool up and down. */
  readonly services: boolean;
}

/**
 * The whole path, once, on this machine: embedded cloud, service, worker with the real hooks, a mixed load of jobs; or
 * services that follow the VMs. Resolves with 0 only if every job ended as it should (or the services showed what they
 * should), the pool went back to its minimum, Pulumi sees nothing to change and nothing is left over; with 130 after
 * Ctrl-C. Removes everything that it made.
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
    if (signals > 1) process.exit(exitCodes.interrupted);
    view.settle();
    view.line('interrupted: cleaning up (once more to leave at once)');
    interrupted.abort();
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  const before = lookAtMachine();
  const place = makePlace(freeSubnet(process.pid));
  const endJanitor = startJanitor(place, options.keep);
  const stage = new Stage(place, view, terminal, live, interrupted.signal);
  const demo = options.services ? new ServicesDemo(stage) : new JobsDemo(stage);
  let problems: readonly string[];
  try {
    problems = await demo.run();
  } catch (error) {
    problems = interrupted.signal.aborted ? [] : [error instanceof Error ? error.message : String(error)];
  }
  view.settle();
  const leftOpen = await stage.stop();
  await endJanitor();
  const left = [
    ...leftOpen,
    ...(await leftOnMachine(place.directory, before, demoUids, [process.pid, process.ppid])),
  ];
  if (left.length === 0) view.line('everything has stopped; nothing is left on this machine');
  if (options.keep) view.line(`kept: ${place.directory}`);
  else rmSync(place.directory, { recursive: true, force: true });
  process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  const all = [...problems, ...left.map((what) => `left over: ${what}`)];
  for (const problem of all) terminal.out(`${terminal.paint('red', 'WRONG')}  ${problem}`);
  if (interrupted.signal.aborted) return exitCodes.interrupted;
  if (options.json)
    given.out(JSON.stringify({ ok: all.length === 0, problems: all, jobs: demo.costs() }, null, 2));
  terminal.out(
    all.length === 0
      ? terminal.paint('green', `The demo went as it should, in ${howLong(performance.now() - began)}.`)
      : terminal.paint('red', `The demo found ${count(all.length, 'problem')}.`),
  );
  return all.length === 0 ? 0 : 1;
};
