import type { Log } from '../../src/service/log.js';

/** Where nobody reads what is logged. */
export const quietLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
