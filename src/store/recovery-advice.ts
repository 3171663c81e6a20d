import type { Envelope } from './envelope.js';
import { goodCopies } from './generations.js';
import type { StoreFiles } from './files.js';
import type { OpenResult } from './port.js';

/** What an operator is told about a store that cannot be understood. Changes nothing on disk. */
export const damageReport = async (
  files: StoreFiles,
  path: string,
  why: string,
  before: Envelope | null,
): Promise<Extract<OpenResult<never>, { kind: 'damaged' }>> => {
  const copies = await goodCopies(files, path);
  const found = [
    ...(before === null
      ? []
      : [`what the file and its journal hold before the damage, of ${before.savedAt}`]),
    ...copies.map((copy) => `${copy.path} of ${copy.savedAt}`),
  ];
  const steps = [
    why.includes('newer VM Pool')
      ? 'Start the newer version again, or recover:'
      : 'The file has not been touched. Keep a copy of it, then:',
    ...(found.length > 0
      ? [
          `  vmpool recover --from-backup   puts an earlier copy back (${found.join(', ')}); what happened since then is held until it is explained`,
        ]
      : []),
    '  vmpool recover --from-cloud    sets the file aside and rebuilds the list of VMs from the cloud; every VM is held until it is explained',
  ];
  return { kind: 'damaged', path, why, howToRecover: steps.join('\n') };
};
