import { chmodSync } from 'node:fs';
import { installationIs } from '../service/installation.js';
import { bookFormat } from '../pool/book-schema.js';
import { bookPath } from '../service/open-book.js';
import { errorText, nodeFiles, replaceFile } from '../store/files.js';
import { setAside } from '../store/generations.js';
import { recoverStore } from '../store/recover.js';
import type { Repair } from './facts.js';
import type { StackPlace } from './stacks.js';

export type Repaired =
  { readonly ok: true; readonly detail: string } | { readonly ok: false; readonly why: string };

/**
 * Does one repair. None ends, makes or forgets a VM, a lease or a job, and none deletes a file: what stood in the way is
 * renamed. Each looks again first, because the service may have gone on since. Never throws.
 */
export const repair = async (
  place: StackPlace,
  order: Repair,
  clock: { now(): number },
): Promise<Repaired> => {
  try {
    return await carryOut(place, order, clock);
  } catch (error) {
    return { ok: false, why: errorText(error) };
  }
};

const carryOut = async (place: StackPlace, order: Repair, clock: { now(): number }): Promise<Repaired> => {
  const stamp = new Date(clock.now()).toISOString().replaceAll(':', '');
  switch (order.kind) {
    case 'mode':
      chmodSync(order.path, order.mode);
      return { ok: true, detail: `${order.path} is its owner's alone` };
    case 'installation':
      await installationIs(place.stateDir, order.installation);
      return { ok: true, detail: `${place.stateDir}/installation is written again` };
    case 'book-from-copy': {
      const result = await recoverStore({
        path: bookPath(place.stateDir),
        journalSince: bookFormat.journalSince,
        from: 'backup',
        clock,
      });
      if (result.kind === 'owned')
        return { ok: false, why: `a service runs on it (pid ${String(result.pid)})` };
      if (result.kind === 'no-backup') return { ok: false, why: result.detail };
      return {
        ok: true,
        detail: `the copy of ${result.restored?.savedAt ?? ''} is put back, the damaged file is ${result.setAside.join(', ')}`,
      };
    }
    case 'lost-list': {
      const aside = await setAside(nodeFiles, [order.path], stamp);
      await replaceFile(nodeFiles, order.path, `${JSON.stringify(order.names)}\n`);
      return { ok: true, detail: `the damaged list is ${aside.join(', ')}` };
    }
  }
};
