import { setMaxListeners } from 'node:events';

/** Waits for a shared promise only as long as one's own signal lets. */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let stop = () => {};
  const aborted = new Promise<never>((_, reject) => {
    const onAbort = () => reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
    signal.addEventListener('abort', onAbort, { once: true });
    stop = () => signal.removeEventListener('abort', onAbort);
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    stop();
  }
}

/**
 * Fires with the first of two. Not `AbortSignal.any`: with a signal that lives as long as the service, some
 * Node versions keep a little of every call for ever.
 */
export function firstOfSignals(
  left: AbortSignal,
  right: AbortSignal,
): { signal: AbortSignal; release: () => void } {
  const controller = new AbortController();
  const onLeft = () => controller.abort(left.reason);
  const onRight = () => controller.abort(right.reason);
  // As many calls as there are at once, and each takes its listeners away again.
  setMaxListeners(0, left, right);
  if (left.aborted) onLeft();
  else if (right.aborted) onRight();
  left.addEventListener('abort', onLeft, { once: true });
  right.addEventListener('abort', onRight, { once: true });
  return {
    signal: controller.signal,
    release() {
      left.removeEventListener('abort', onLeft);
      right.removeEventListener('abort', onRight);
    },
  };
}
