import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const stub = (directory: string, body: string): string => `#!/bin/sh\nd='${directory}'\n${body}`;

const commands: Readonly<Record<string, string>> = {
  qstat:
    '[ -e "$d/slow" ] && sleep "$(cat "$d/slow")"\n[ -e "$d/down" ] && { echo "qstat: cannot connect to server" >&2; exit 111; }\n[ -f "$d/$2.qstat" ] || { echo "qstat: Unknown Job Id $2" >&2; exit 153; }\nexec cat "$d/$2.qstat"\n',
  qhold:
    '[ "$1 $2" = "-h s" ] || exit 2\n[ -e "$d/down" ] && exit 111\n[ -e "$d/no-manager" ] && { echo "qhold: Unauthorized Request  $3" >&2; exit 1; }\n[ -f "$d/$3.qstat" ] || { echo "qhold: Unknown Job Id $3" >&2; exit 153; }\n: > "$d/$3.held"\n',
  qrls: '[ "$1 $2" = "-h s" ] || exit 2\n[ -e "$d/down" ] && exit 111\nrm -f "$d/$3.held"\n',
};

/** The few words of a Torque server that hooks speak: qstat -f, qhold -h s, qrls -h s. */
export class ServerDouble {
  /** `inside` is the path of the same directory as the hooks see it. */
  constructor(
    private readonly directory: string,
    private readonly inside: string,
  ) {
    mkdirSync(directory, { recursive: true });
    for (const [name, body] of Object.entries(commands)) {
      writeFileSync(join(directory, name), stub(inside, body));
      chmodSync(join(directory, name), 0o755);
    }
  }
  command(name: 'qstat' | 'qhold' | 'qrls'): string {
    return join(this.inside, name);
  }
  describe(id: string, text: string): void {
    writeFileSync(join(this.directory, `${id}.qstat`), text);
  }
  forget(id: string): void {
    for (const kind of ['qstat', 'held']) rmSync(join(this.directory, `${id}.${kind}`), { force: true });
  }
  isHeld(id: string): boolean {
    return existsSync(join(this.directory, `${id}.held`));
  }
  /** The worker's root is one of the server's managers, or not. */
  manager(yes: boolean): void {
    if (yes) rmSync(join(this.directory, 'no-manager'), { force: true });
    else writeFileSync(join(this.directory, 'no-manager'), '');
  }
  /** The server answers only after so many seconds. */
  slow(seconds: number): void {
    writeFileSync(join(this.directory, 'slow'), String(seconds));
  }
  /** The server stops or starts answering. */
  down(yes: boolean): void {
    if (yes) writeFileSync(join(this.directory, 'down'), '');
    else rmSync(join(this.directory, 'down'), { force: true });
  }
}
