import type { Client } from '../http/client.js';
import type { Access } from './access.js';
import type { Terminal } from './terminal.js';

/** What commands need of the world around them; tests give another one. */
export interface World {
  readonly terminal: Terminal;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Opens a client; who asked for it closes it. */
  readonly connect: (access: Access) => Client;
  /** Asks the person at the terminal; null where there is nobody to ask. */
  readonly confirm: (question: string) => Promise<boolean | null>;
  /** Fires when the person has seen enough of a command that goes on and on. */
  readonly stop: AbortSignal;
  /** Sets the exit code of a command that ended without an error. */
  readonly exitWith: (code: number) => void;
}
