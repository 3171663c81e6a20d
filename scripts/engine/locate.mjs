/** Where the Pulumi engine is that `node scripts/engine/install.mjs` put in place. */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { engineCache, engineCaches } from './parts.mjs';

const pointer = 'current.json';

/** The pointer to the engine in use; rewritten by every install, read by the service. */
export function pointerFile(env = process.env) {
  return join(engineCache(env), pointer);
}

/**
 * Reads the pointer and checks that what it names is there.
 * Throws an Error that says what to do when the engine is not installed or incomplete.
 */
export function locateEngine(env = process.env) {
  const files = engineCaches(env).map((cache) => join(cache, pointer));
  const file = files.find((one) => existsSync(one)) ?? files[0];
  let found;
  try {
    found = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    const why = error.code === 'ENOENT' ? 'there is no' : `cannot read (${error.message})`;
    throw new Error(`The Pulumi engine is not installed: ${why} ${file}. Run \`make setup\`, or \`vmpool engine install\` where VM Pool came as a package.`, { cause: error });
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
