import { constants } from 'node:os';

const ending = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export interface Ended<T> {
  readonly value: T;
  /** Exit code after the signal that came first (130 after Ctrl-C); null when none came. */
  readonly code: number | null;
}

/**
 * Does work that has to leave something in order: on Ctrl-C, SIGTERM and SIGHUP its signal fires, and it comes to its
 * own end. A second one changes nothing.
 */
export const untilSignal = async <T>(work: (signal: AbortSignal) => Promise<T>): Promise<Ended<T>> => {
  const stop = new AbortController();
  let code: number | null = null;
  const onSignal = (name: NodeJS.Signals): void => {
    code ??= 128 + constants.signals[name];
    stop.abort();
  };
  for (const name of ending) process.on(name, onSignal);
  try {
    return { value: await work(stop.signal), code };
  } finally {
    for (const name of ending) process.removeListener(name, onSignal);
  }
};
