import { setMaxListeners } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { Client, type ClientChannel } from 'ssh2';
import type { Endpoint, HostKey } from '../pool/model.js';
import { GuestFailure, type GuestStep } from './failure.js';
import { hostKeyAlgorithms, hostKeyFromBlob, isKnownHostKey } from './host-keys.js';
import type { Slots } from './slots.js';

export interface ConnectionSettings {
  readonly endpoint: Endpoint;
  readonly username: string;
  readonly privateKey: Buffer;
  /** Accepted keys. Empty accepts any key: only the policy `first-sight` may ask for that. */
  readonly hostKeys: readonly HostKey[];
  /** For the connection by TCP. */
  readonly connectMs: number;
  /** For handshake and login. */
  readonly loginMs: number;
  readonly keepaliveMs: number;
}

export interface ExecOutcome {
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface ExecOptions {
  readonly stdin: Buffer;
  readonly maxBytes: number;
  /** Ends the command. Fired with the reason `hung`, it ends the connection: see `exec`. */
  readonly signal: AbortSignal;
}

/** The reason of a signal fired by a time limit. */
export const hung = 'hung';

const stderrLimit = 8192;

/** One SSH connection to a VM as its administrator. Ended by its owner, by the keepalive or by a command's time limit. */
export class GuestConnection {
  readonly #client: Client;
  readonly #socket: Socket;
  readonly hostKey: HostKey;
  readonly endpoint: Endpoint;
  #open = true;

  private constructor(client: Client, socket: Socket, hostKey: HostKey, endpoint: Endpoint) {
    this.#client = client;
    this.#socket = socket;
    this.hostKey = hostKey;
    this.endpoint = endpoint;
    client.on('close', () => (this.#open = false));
    client.on('end', () => (this.#open = false));
  }

  get open(): boolean {
    return this.#open;
  }

  /**
   * Rejects with `GuestFailure` naming the step. Handshakes cost CPU and take turns; waiting for a VM that does not
   * answer at all costs nothing and takes none.
   */
  static async connect(settings: ConnectionSettings, handshakes: Slots): Promise<GuestConnection> {
    const socket = await openSocket(settings.endpoint, settings.connectMs);
    return handshakes.use(undefined, () =>
      handshake(settings, socket, settings.loginMs, (client, hostKey) => {
        return new GuestConnection(client, socket, hostKey, settings.endpoint);
      }),
    );
  }

  /**
   * Runs one command on a channel of its own. One that hangs ends the whole connection with it: nothing tells a slow
   * command from a peer that is gone. A signal fired for another reason ends the channel only.
   */
  exec(command: string, options: ExecOptions): Promise<ExecOutcome> {
    const { signal } = options;
    return new Promise<ExecOutcome>((resolve, reject) => {
      let channel: ClientChannel | undefined;
      let settled = false;
      const settle = (act: () => void): void => {
        if (settled) return;
        settled = true;
        signal.removeEventListener('abort', onAbort);
        this.#client.removeListener('close', onClose);
        act();
      };
      const fail = (why: string): void => settle(() => reject(new GuestFailure('command', why)));
      const onAbort = (): void => {
        const isHung = signal.reason === hung;
        settle(() => reject(new GuestFailure('command', 'the call was given up', isHung)));
        if (isHung) this.destroy();
        else channel?.close();
      };
      const onClose = (): void => fail('the connection ended before the command had answered');
      if (signal.aborted) return onAbort();
      if (!this.#open) return fail('the connection is closed');
      signal.addEventListener('abort', onAbort, { once: true });
      this.#client.once('close', onClose);
      try {
        this.#client.exec(command, (error, opened) => {
          if (error) return fail(`no channel for the command: ${error.message}`);
          channel = opened;
          if (settled) return opened.close();
          collect(opened, options, fail, (outcome) => settle(() => resolve(outcome)));
        });
      } catch (error) {
        fail(`no channel for the command: ${messageOf(error)}`);
      }
    });
  }

  destroy(): void {
    this.#open = false;
    this.#client.destroy();
    this.#socket.destroy();
  }
}

function collect(
  channel: ClientChannel,
  options: ExecOptions,
  fail: (why: string) => void,
  done: (outcome: ExecOutcome) => void,
): void {
  const chunks: Buffer[] = [];
  let size = 0;
  let stderr = '';
  let code: number | null = null;
  channel.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > options.maxBytes) {
      fail(`the command answered more than ${options.maxBytes} bytes`);
      channel.close();
    } else chunks.push(chunk);
  });
  channel.stderr.on('data', (chunk: Buffer) => {
    if (stderr.length < stderrLimit) stderr += chunk.toString('latin1').slice(0, stderrLimit - stderr.length);
  });
  channel.on('exit', (exitCode: number | null) => (code = exitCode));
  channel.on('error', (error: Error) => fail(`the command's channel broke: ${error.message}`));
  channel.on('close', () => done({ code, stdout: Buffer.concat(chunks), stderr }));
  channel.end(options.stdin);
}

/** A connection by TCP, whose owner closes it. Rejects with `GuestFailure`. */
export function openSocket(endpoint: Endpoint, timeoutMs: number, signal?: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host: endpoint.host, port: endpoint.port, noDelay: true });
    const where = `${endpoint.host}:${endpoint.port}`;
    const fail = (why: string): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', giveUp);
      socket.destroy();
      reject(new GuestFailure('tcp', `${where}: ${why}`));
    };
    const timer = setTimeout(() => fail('no answer to the connection'), timeoutMs);
    const giveUp = (): void => fail('the call was given up while connecting');
    // As many connections as are made at once, and each takes its listener away again.
    if (signal !== undefined) setMaxListeners(0, signal);
    signal?.addEventListener('abort', giveUp, { once: true });
    if (signal?.aborted === true) giveUp();
    socket.once('error', (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
    socket.once('connect', () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', giveUp);
      socket.removeAllListeners('error');
      socket.on('error', () => undefined);
      resolve(socket);
    });
  });
}

function handshake(
  settings: ConnectionSettings,
  socket: Socket,
  timeoutMs: number,
  made: (client: Client, hostKey: HostKey) => GuestConnection,
): Promise<GuestConnection> {
  const where = `${settings.endpoint.host}:${settings.endpoint.port}`;
  return new Promise((resolve, reject) => {
    const client = new Client();
    let presented: HostKey | undefined;
    let accepted = false;
    let settled = false;
    const fail = (step: GuestStep, why: string, slow = false): void => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      client.destroy();
      socket.destroy();
      reject(new GuestFailure(step, `${where}: ${why}`, slow));
    };
    const timer = setTimeout(() => {
      fail(
        'login',
        presented ? 'the login did not end in time' : 'connected, but no SSH server answered in time',
        true,
      );
    }, timeoutMs);
    // An error after the handshake ends the connection, which its users see as closed.
    client.on('error', (error: Error) => {
      if (presented !== undefined && !accepted) {
        fail('host-key', `the server proved the key ${presented}, which is not one of its known host keys`);
      } else if (presented === undefined && /host key/i.test(error.message)) {
        fail('host-key', `the server has no host key of a known type: ${error.message}`);
      } else fail('login', loginProblem(error, settings.username));
    });
    client.once('close', () => fail('login', 'the server closed the connection during the login'));
    client.once('ready', () => {
      if (settled || presented === undefined) return;
      settled = true;
      clearTimeout(timer);
      resolve(made(client, presented));
    });
    try {
      client.connect({
        sock: socket,
        username: settings.username,
        privateKey: settings.privateKey,
        readyTimeout: 0,
        keepaliveInterval: settings.keepaliveMs,
        keepaliveCountMax: 3,
        algorithms: { serverHostKey: hostKeyAlgorithms(settings.hostKeys) as never },
        hostVerifier: (blob: Buffer): boolean => {
          presented = hostKeyFromBlob(blob);
          accepted = settings.hostKeys.length === 0 || isKnownHostKey(settings.hostKeys, presented);
          return accepted;
        },
      });
    } catch (error) {
      fail('login', `the login could not begin: ${messageOf(error)}`);
    }
  });
}

function loginProblem(error: Error, username: string): string {
  return /authentication methods failed/i.test(error.message)
    ? `the server refused the pool's admin key for ${username}: the key in the user data is not this one, or not there yet`
    : error.message;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
