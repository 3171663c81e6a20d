import type { CredentialFile } from '../credentials.js';
import { ship } from '../remote/payload.js';
import type { Ssh } from '../remote/ssh.js';

/**
 * Copies a credential again when it changed on the worker (a renewed proxy). Lives in the job starter: it is the
 * user's, it is there for exactly as long as the job is, and nothing needs to be found and ended after it.
 */
export class CredentialWatch {
  readonly #timer: NodeJS.Timeout;
  #sent: Map<string, CredentialFile>;
  #busy = false;

  constructor(
    private readonly ssh: Ssh,
    private readonly collect: () => readonly CredentialFile[],
    sent: readonly CredentialFile[],
    everyMs: number,
    private readonly say: (message: string) => void,
  ) {
    this.#sent = new Map(sent.map((file) => [file.path, file]));
    this.#timer = setInterval(() => void this.#look(), everyMs);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    if (this.#busy) return;
    const changed = this.collect().filter((file) => {
      const before = this.#sent.get(file.path);
      return before === undefined || before.mode !== file.mode || !before.data.equals(file.data);
    });
    if (changed.length === 0) return;
    this.#busy = true;
    const { script, data } = ship(changed);
    const result = await this.ssh.run(script, [data], 60_000);
    this.#busy = false;
    const names = changed.map((file) => file.path).join(', ');
    // A failure is tried again at the next look; the user must know, the job may fail for want of it.
    if (result.code !== 0) this.say(`renewed ${names} could not be copied to the VM: ${result.stderr}`);
    else for (const file of changed) this.#sent.set(file.path, file);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
