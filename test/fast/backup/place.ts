import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Place } from '../../../src/backup/place.js';
import type { Book } from '../../../src/pool/book.js';
import type { InstallationId } from '../../../src/pool/model.js';
import { openBook } from '../../../src/service/open-book.js';
import { quietLog } from '../../support/quiet-log.js';
import type { Store } from '../../../src/store/port.js';

export const installation = '5d0c7b1e-7c0a-4c5f-9a57-2f1d3c4b5a69';

/** A stack's state as Pulumi writes it, told apart by a word in it. */
export const stateText = (word: string): string =>
  JSON.stringify({ version: 3, checkpoint: { stack: word, latest: { resources: [] } } });

/** A service's directories in a temporary one. */
export class TestPlace {
  readonly root = mkdtempSync(join(tmpdir(), 'vmpool-backup-'));
  readonly place: Place = {
    pool: 'batch',
    stateDir: join(this.root, 'state'),
    capabilitySecretFile: join(this.root, 'state', 'capability.key'),
    backend: join(this.root, 'pulumi'),
  };

  path(name: string): string {
    return join(this.root, name);
  }

  put(name: string, text: string): void {
    mkdirSync(dirname(this.path(name)), { recursive: true });
    writeFileSync(this.path(name), text, { mode: 0o600 });
  }

  /** Everything that a service leaves behind, and some that is none of a backup's business. */
  fill(): void {
    this.put('state/installation', `${installation}\n`);
    this.put('state/capability.key', `${'5ec2e7'.repeat(8)}\n`);
    this.put('state/engine/stacks/Pulumi.yaml', 'name: vmpool\n');
    this.put('state/engine/stacks/Pulumi.batch-c001.yaml', 'encryptionsalt: v1:x\nconfig: {}\n');
    this.put('state/engine/stacks/batch-c001.lost.json', '["batch-0007-aaaa"]\n');
    this.put('state/engine/stacks/Pulumi.batchy-c001.yaml', 'config: {}\n');
    this.put('state/history/history.jsonl', '{}\n');
    this.put('pulumi/.pulumi/meta.yaml', 'version: 1\n');
    for (const stack of ['batch', 'batch-c001', 'batch-summary', 'other', 'batch-c001x'])
      this.put(`pulumi/.pulumi/stacks/vmpool/${stack}.json`, stateText(stack));
  }

  /** Opens the store as the service does; who asked closes it. */
  async serve(): Promise<{ readonly store: Store<Book>; readonly book: Book }> {
    const owner = { stateDir: this.place.stateDir, pool: 'batch', hostKeys: 'console' } as const;
    return openBook(owner, installation as InstallationId, quietLog);
  }

  /** The service has committed a book with that sequence number, and stopped. */
  async commit(seq: number): Promise<void> {
    const { store, book } = await this.serve();
    await store.commit({ ...book, seq });
    await store.close();
  }

  close(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}
