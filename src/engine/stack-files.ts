import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import type { MemberName } from '../pool/model.js';
import { writeFileAtomically } from './atomic-file.js';
import { stackConfigPath, stacksDirectory } from './environment.js';

export type LostCreates =
  | { readonly kind: 'read'; readonly names: MemberName[] }
  | { readonly kind: 'broken'; readonly message: string };

/** The engine's working directory for Pulumi: a copy of the project file, and one config file a stack. */
export class StackFiles {
  constructor(private readonly stateDir: string) {}

  get directory(): string {
    return stacksDirectory(this.stateDir);
  }

  /** The project file must agree with that of the command line: name, declared config and its defaults. */
  prepare(repoRoot: string): void {
    mkdirSync(this.directory, { recursive: true, mode: 0o700 });
    const source = join(repoRoot, 'Pulumi.yaml');
    const copy = join(this.directory, 'Pulumi.yaml');
    // The program runs inline, and `main` would be looked for beside the copy.
    const project = z.looseObject({ name: z.string() }).parse(parse(readFileSync(source, 'utf8')));
    const { main: _main, ...rest } = project;
    const text = `# A copy of ${source} without \`main\`.\n${stringify(rest)}`;
    if (!existsSync(copy) || readFileSync(copy, 'utf8') !== text) {
      writeFileAtomically(copy, text);
    }
  }

  /** Writes a stack's config and keeps what Pulumi itself wrote beside it (the salt of its secrets). */
  writeConfig(stack: string, config: Readonly<Record<string, unknown>>): void {
    const path = stackConfigPath(this.stateDir, stack);
    const kept = existsSync(path) ? keptKeys(readFileSync(path, 'utf8')) : {};
    const header = '# Written by the vmpool service before each update. Changes by hand are lost.\n';
    writeFileAtomically(path, header + stringify({ ...kept, config }, { lineWidth: 0, aliasDuplicateObjects: false }));
  }

  /** Stacks whose name begins with this and that have a config file here. */
  stacksNamed(prefix: string): readonly string[] {
    return readdirSync(this.directory)
      .flatMap((file) => /^Pulumi\.(.+)\.yaml$/.exec(file)?.[1] ?? [])
      .filter((stack) => stack.startsWith(prefix))
      .sort();
  }

  /** Forgets a stack that is no more. */
  removeConfig(stack: string): void {
    rmSync(stackConfigPath(this.stateDir, stack), { force: true });
  }

  /**
   * Members whose create was begun under their name and never confirmed. Kept until no wish names them. A damaged
   * list is not taken for an empty one: a name on it would be created a second time.
   */
  lostCreates(stack: string): LostCreates {
    const path = this.lostPath(stack);
    if (!existsSync(path)) {
      return { kind: 'read', names: [] };
    }
    let why: string;
    try {
      const parsed = z.array(z.string().min(1)).safeParse(JSON.parse(readFileSync(path, 'utf8')));
      if (parsed.success) {
        return { kind: 'read', names: parsed.data as MemberName[] };
      }
      why = z.prettifyError(parsed.error).replaceAll('\n', ' ');
    } catch (error) {
      why = error instanceof Error ? error.message : String(error);
    }
    return {
      kind: 'broken',
      message:
        `stack ${stack} is left alone: ${path} cannot be read (${why}). It lists the members whose create was lost ` +
        'with a killed engine, which must not be created again under their name. Write into it as a JSON list, such ' +
        `as ["name", "name"], the names of this cell's servers that the cloud has (\`openstack server list\`) and ` +
        `the stack has not (\`pulumi stack --stack ${stack}\`); [] if there are none`,
    };
  }

  writeLostCreates(stack: string, names: readonly MemberName[]): void {
    if (names.length > 0 || existsSync(this.lostPath(stack))) {
      writeFileAtomically(this.lostPath(stack), `${JSON.stringify(names)}\n`);
    }
  }

  private lostPath(stack: string): string {
    return join(this.directory, `${stack}.lost.json`);
  }
}

const keptKeys = (text: string): Record<string, unknown> => {
  let document: unknown;
  try {
    document = parse(text);
  } catch {
    return {};
  }
  const found = z.looseObject({ config: z.unknown().optional() }).safeParse(document);
  if (!found.success) {
    return {};
  }
  const { config: _config, ...kept } = found.data;
  return kept;
};
