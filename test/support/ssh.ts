import { execFile } from 'node:child_process';
import type { GuestTarget } from '../../src/guest/port.js';

export interface Ran {
  /** 255 also where the machine could not be reached in time. */
  readonly code: number;
  /** Standard output, then standard error. */
  readonly out: string;
}

const options = [
  'BatchMode=yes',
  'StrictHostKeyChecking=no',
  'UserKnownHostsFile=/dev/null',
  'LogLevel=ERROR',
];

/** Runs a command on a test's machine by OpenSSH's own client. Never rejects. */
export const runBySsh = (
  { endpoint: { host, port } }: Pick<GuestTarget, 'endpoint'>,
  ask: {
    readonly user: string;
    readonly keyFile: string;
    readonly command: string;
    readonly input?: Buffer;
    readonly limitMs?: number;
  },
): Promise<Ran> =>
  new Promise((resolve) => {
    const { limitMs = 60_000 } = ask;
    // Of connection and handshake, which take an emulated processor longer than others their whole command.
    const connecting = `ConnectTimeout=${String(Math.ceil(limitMs / 1000))}`;
    const args = [
      ...['-F', 'none', ...[...options, connecting].flatMap((option) => ['-o', option])],
      ...['-i', ask.keyFile, '-p', String(port), `${ask.user}@${host}`, ask.command],
    ];
    const child = execFile('ssh', args, { timeout: limitMs }, (error, stdout, stderr) => {
      const code = error ? (typeof error.code === 'number' ? error.code : 255) : 0;
      resolve({ code, out: stdout + stderr });
    });
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(ask.input ?? Buffer.alloc(0));
  });
