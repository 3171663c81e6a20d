/**
 * Waits for `ms` milliseconds or until the signal fires, whichever is first; never rejects. It needs nothing but the
 * language's own timers, so that the hooks and the dashboard can have it too.
 */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end, { once: true });
  });
}
