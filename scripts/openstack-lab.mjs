/** Where the OpenStack lab of the tests can be installed. */
import { readFileSync } from 'node:fs';

/** Null where it can be; else why not. Its scripts and settings are for the OpenStack of one release of Debian. */
export function whyNoOpenStackLab(file = '/etc/os-release', architecture = process.arch) {
  if (architecture !== 'x64') return `it needs an x86-64 processor, this is ${architecture}`;
  let text = '';
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    // No such file: another kind of system.
  }
  const name = /^PRETTY_NAME="?([^"\n]*)/m.exec(text)?.[1] ?? 'unknown';
  return /^VERSION_CODENAME=bookworm$/m.test(text) && /^ID=debian$/m.test(text)
    ? null
    : `it needs Debian 12 (bookworm), this is ${name}`;
}
