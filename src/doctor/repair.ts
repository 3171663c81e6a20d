import { chmodSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { parseCheckpointFile } from '../engine/deployment.js';
import { breakFileLocks, describeLock } from '../engine/locks.js';
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
    case 'state-from-copy': {
      const locks = place.backend === null ? [] : breakFileLocks(place.backend, order.stack, hostname(), []);
      if (locks.length > 0)
        return { ok: false, why: `stack ${order.stack} is locked by ${locks.map(describeLock).join(', ')}` };
      if (parseCheckpointFile(readFileSync(order.path, 'utf8')).ok)
        return { ok: true, detail: 'it can be read again' };
      const copy = readFileSync(order.copy);
      const aside = await setAside(nodeFiles, [order.path], stamp);
      await replaceFile(nodeFiles, order.path, copy);
      return { ok: true, detail: `the damaged state is ${aside.join(', ')}` };
    }
    case 'lost-list': {
      const aside = await setAside(nodeFiles, [order.path], stamp);
      await replaceFile(nodeFiles, order.path, `${JSON.stringify(order.names)}\n`);
      return { ok: true, detail: `the damaged list is ${aside.join(', ')}` };
    }
  }
};
