import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import ssh2, { type Connection, type ServerChannel } from 'ssh2';
import { hostKeyFromBlob } from '../../../src/guest/host-keys.js';
import type { GuestTarget } from '../../../src/guest/port.js';
import type { MemberName } from '../../../src/pool/model.js';

const { Server, utils } = ssh2;

/** An RSA key in PEM, which ssh2 reads without a program of OpenSSH's. */
export function newKey(): string {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
}

export type Behaviour = (command: string, channel: ServerChannel) => void;

/** An SSH server in this process: it lets everyone in and answers commands as told. */
export class FakeVm {
  readonly commands: string[] = [];
  connections = 0;
  readonly #open = new Set<Connection>();
  readonly #server: InstanceType<typeof Server>;
  behaviour: Behaviour = (_command, channel) => answer(channel, 'ok\n');

  constructor(readonly key: string) {
    this.#server = new Server({ hostKeys: [key] }, (client) => {
      this.connections += 1;
      this.#open.add(client);
      client.on('error', () => undefined);
      client.on('close', () => this.#open.delete(client));
      client.on('authentication', (context) => context.accept());
      client.on('session', (accept) => {
        accept().on('exec', (acceptExec, _reject, info) => {
          this.commands.push(info.command);
          this.behaviour(info.command, acceptExec());
        });
      });
    });
  }

  async start(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  get target(): GuestTarget {
    const parsed = utils.parseKey(this.key);
    if (parsed instanceof Error) throw parsed;
    const { port } = this.#server.address() as AddressInfo;
    return {
      member: 'fake-1' as MemberName,
      endpoint: { host: '127.0.0.1', port },
      hostKeys: [hostKeyFromBlob(parsed.getPublicSSH())],
    };
  }

  /** Ends the connections that are open; resolves when the other side has noticed and closed its own. */
  async cut(): Promise<void> {
    await Promise.all(
      [...this.#open].map((client) => {
        const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
        client.end();
        return closed;
      }),
    );
  }

  async stop(): Promise<void> {
    const cut = this.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await cut;
  }
}

export function answer(channel: ServerChannel, text: string, code = 0): void {
  channel.write(text);
  channel.exit(code);
  channel.end();
}
