import { setMaxListeners } from 'node:events';
import { hung } from './connection.js';
import { GuestFailure } from './failure.js';

/** Runs a call within its time limit. What a VM does becomes a result by `failed`; only misuse is thrown. */
export async function limited<T>(
  what: string,
  timeoutMs: number,
  signal: AbortSignal,
  work: (within: AbortSignal) => Promise<T>,
  failed: (step: GuestFailure['step'], why: string) => T,
): Promise<T> {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  // A service may have one signal for all of its calls; each adds one listener and takes it away again.
  setMaxListeners(0, signal);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    controller.abort(hung);
  }, timeoutMs);
  try {
    return await work(controller.signal);
  } catch (error) {
    if (!(error instanceof GuestFailure)) throw error;
    const why = timedOut
      ? `no answer to the ${what} within ${timeoutMs / 1000} s (${error.message})`
      : error.message;
    return failed(timedOut ? 'command' : error.step, why);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}
