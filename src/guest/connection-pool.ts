import type { MemberName } from '../pool/model.js';
import type { ExecOptions, ExecOutcome, GuestConnection } from './connection.js';
import { GuestFailure } from './failure.js';
import { isKnownHostKey } from './host-keys.js';
import type { GuestTarget } from './port.js';
import { Slots } from './slots.js';

/** Below sshd's default MaxSessions of 10, because the server frees a session some time after its channel closed. */
const channelsPerConnection = 6;

interface Entry {
  connection: GuestConnection | undefined;
  connecting: { readonly promise: Promise<GuestConnection>; readonly key: string } | undefined;
  readonly channels: Slots;
}

/** Opens a connection to a VM, or rejects with `GuestFailure`. */
export type Connector = (target: GuestTarget, handshakes: Slots) => Promise<GuestConnection>;

/** One warm connection for each VM, made on demand and again after it was lost. */
export class ConnectionPool {
  readonly #entries = new Map<MemberName, Entry>();
  readonly #handshakes: Slots;
  #closed = false;

  constructor(
    private readonly connect: Connector,
    handshakesAtOnce: number,
  ) {
    this.#handshakes = new Slots(handshakesAtOnce);
  }

  /** The member's connection: the warm one when it is still to the same place with a key still known. */
  async connection(target: GuestTarget, signal: AbortSignal): Promise<GuestConnection> {
    if (this.#closed) throw new GuestFailure('tcp', 'the guest part is closed');
    const entry = this.#entry(target.member);
    const { connection } = entry;
    if (connection) {
      if (connection.open && fits(connection, target)) return connection;
      connection.destroy();
      entry.connection = undefined;
    }
    const key = JSON.stringify([target.endpoint, target.hostKeys]);
    if (entry.connecting?.key !== key) entry.connecting = { promise: this.#open(entry, target, key), key };
    return withSignal(entry.connecting.promise, signal);
  }

  /** Runs a command; on a connection found dead before the command began, once more on a new one. */
  async exec(
    target: GuestTarget,
    command: string,
    options: ExecOptions,
  ): Promise<ExecOutcome & { hostKey: string }> {
    const entry = this.#entry(target.member);
    return entry.channels.use(options.signal, async () => {
      const warm = entry.connection;
      const connection = await this.connection(target, options.signal);
      try {
        return { ...(await connection.exec(command, options)), hostKey: connection.hostKey };
      } catch (error) {
        if (
          connection !== warm ||
          connection.open ||
          options.signal.aborted ||
          !(error instanceof GuestFailure)
        )
          throw error;
        const again = await this.connection(target, options.signal);
        return { ...(await again.exec(command, options)), hostKey: again.hostKey };
      }
    });
  }

  members(): readonly MemberName[] {
    return [...this.#entries.keys()];
  }

  drop(member: MemberName): void {
    const entry = this.#entries.get(member);
    this.#entries.delete(member);
    entry?.connection?.destroy();
    entry?.connecting?.promise.then(
      (connection) => connection.destroy(),
      () => undefined,
    );
  }

  async close(): Promise<void> {
    this.#closed = true;
    const underway = [...this.#entries.values()].flatMap(({ connecting }) =>
      connecting ? [connecting.promise] : [],
    );
    for (const member of [...this.#entries.keys()]) this.drop(member);
    await Promise.allSettled(underway);
  }

  #entry(member: MemberName): Entry {
    let entry = this.#entries.get(member);
    if (!entry) {
      entry = { connection: undefined, connecting: undefined, channels: new Slots(channelsPerConnection) };
      this.#entries.set(member, entry);
    }
    return entry;
  }

  async #open(entry: Entry, target: GuestTarget, key: string): Promise<GuestConnection> {
    try {
      const connection = await this.connect(target, this.#handshakes);
      if (this.#closed || this.#entries.get(target.member) !== entry || entry.connecting?.key !== key) {
        connection.destroy();
        throw new GuestFailure('tcp', 'the VM was forgotten or moved while its connection was being made');
      }
      entry.connection = connection;
      return connection;
    } finally {
      if (entry.connecting?.key === key) entry.connecting = undefined;
    }
  }
}

function fits(connection: GuestConnection, target: GuestTarget): boolean {
  const { endpoint, hostKey } = connection;
  return (
    endpoint.host === target.endpoint.host &&
    endpoint.port === target.endpoint.port &&
    (target.hostKeys.length === 0 || isKnownHostKey(target.hostKeys, hostKey))
  );
}

/** The shared work goes on for its other waiters when one of them gives up. */
function withSignal<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new GuestFailure('tcp', 'the call was given up while connecting'));
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
