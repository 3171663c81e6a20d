import { exitCodes, type ExitCode } from './exit.js';

const ending = {
  SIGINT: exitCodes.interrupted,
  SIGTERM: exitCodes.terminated,
  SIGHUP: exitCodes.hangup,
} as const;
const signals = Object.keys(ending) as (keyof typeof ending)[];

export interface Ended<T> {
  readonly value: T;
  /** Exit code after the signal that came first (130 after Ctrl-C); null when none came. */
  readonly code: ExitCode | null;
}

/**
 * Does work that has to leave something in order: on Ctrl-C, SIGTERM and SIGHUP its signal fires, and it comes to its
 * own end. A second one changes nothing.
 */
export const untilSignal = async <T>(work: (signal: AbortSignal) => Promise<T>): Promise<Ended<T>> => {
  const stop = new AbortController();
  let code: ExitCode | null = null;
  const onSignal = (name: NodeJS.Signals): void => {
    code ??= ending[name as keyof typeof ending];
    stop.abort();
  };
  for (const name of signals) process.on(name, onSignal);
  try {
    return { value: await work(stop.signal), code };
  } finally {
    for (const name of signals) process.removeListener(name, onSignal);
  }
};
