import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { shellWord } from './quote.js';

export type ScriptName = 'probe' | 'contract' | 'welcome' | 'stage' | 'scrub' | 'measure' | 'survey';

/** Functions that a script shares with another; they travel before it. */
const librariesOf: Partial<Record<ScriptName, string>> = {
  ...{ welcome: 'mounts', stage: 'mounts', scrub: 'measured', measure: 'measured' },
};
/** Programs that a script leaves on the VM: it finds the text in a variable of that name. */
const programsOf: Partial<Record<ScriptName, string>> = { stage: 'meter' };

/** The compiler does not copy the scripts: compiled code (dist/src/guest) finds them in the source tree beside it. */
function findScript(name: string): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    for (const below of ['scripts', 'src/guest/scripts']) {
      const candidate = join(folder, below, `${name}.sh`);
      if (existsSync(candidate)) return candidate;
    }
    const parent = dirname(folder);
    if (parent === folder)
      throw new Error(`the guest script ${name}.sh was not found: the installation is incomplete`);
    folder = parent;
  }
}

const textOf = (file: string): string => readFileSync(findScript(file), 'utf8').replace(/^\s*#.*\n/gm, '');

const loaded = new Map<ScriptName, string>();

/** The text of a script that runs on the VM, without its comment lines: it travels with every call. */
export function guestScript(name: ScriptName): string {
  let text = loaded.get(name);
  if (text === undefined) {
    const library = librariesOf[name];
    const files = library === undefined ? [name] : [library, name];
    const program = programsOf[name];
    const given = program === undefined ? '' : `${program}=${shellWord(textOf(program))}\n`;
    text = given + files.map(textOf).join('');
    loaded.set(name, text);
  }
  return text;
}
