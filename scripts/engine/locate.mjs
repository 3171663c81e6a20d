/** Where the Pulumi engine is that `node scripts/engine/install.mjs` put in place. */
import { accessSync, constants, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { engineCache } from './parts.mjs';

/** The pointer to the engine in use; rewritten by every install, read by the service. */
export function pointerFile(env = process.env) {
  return join(engineCache(env), 'current.json');
}

/**
 * Reads the pointer and checks that what it names is there.
 * Throws an Error that says what to do when the engine is not installed or incomplete.
 */
export function locateEngine(env = process.env) {
  const file = pointerFile(env);
  let found;
  try {
    found = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    const why = error.code === 'ENOENT' ? 'there is no' : `cannot read (${error.message})`;
    throw new Error(`The Pulumi engine is not installed: ${why} ${file}. Run \`make setup\`.`, { cause: error });
  }
  const { pulumi, binDir, pulumiHome, source, versions } = found;
  const needed = [
    pulumi,
    join(binDir, 'pulumi-language-nodejs'),
    join(pulumiHome, 'plugins', `resource-openstack-v${versions.openstack}`, 'pulumi-resource-openstack'),
    join(pulumiHome, 'plugins', `resource-command-v${versions.command}`, 'pulumi-resource-command'),
  ];
  for (const path of needed) {
    try {
      accessSync(path, constants.X_OK);
    } catch (error) {
      throw new Error(`The Pulumi engine is incomplete: ${path} is missing or not executable. Run \`make setup\`.`, {
        cause: error,
      });
    }
  }
  return { pulumi, binDir, pulumiHome, source, versions };
}
