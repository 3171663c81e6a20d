/** Real stacks for the plugins' behaviour tests: inline programs, state in a temporary folder. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { LocalWorkspace, PulumiCommand, type EngineEvent, type OutputMap, type Stack } from '@pulumi/pulumi/automation/index.js';

import { locateEngine } from '../../../scripts/engine/locate.mjs';
import { engineEnvironment } from './engine.js';

type Program = () => Promise<Record<string, unknown> | void>;

/** What one `up` did. */
export interface UpResult {
  readonly outputs: OutputMap;
  /** How many resources each kind of step was for, such as { create: 2, same: 1 }. */
  readonly changes: Readonly<Record<string, number>>;
  /** The lines that resources showed while it ran. */
  readonly shown: readonly string[];
}

/** A stack in a folder of its own. `close` destroys it and removes the folder. */
export class TestStack {
  /** A folder for the files of the test's commands. */
  readonly dir: string;

  private constructor(
    private readonly root: string,
    private readonly stack: Stack,
    private program: Program,
  ) {
    this.dir = join(root, 'files');
    mkdirSync(this.dir);
  }

  static async create(name: string): Promise<TestStack> {
    const root = mkdtempSync(join(tmpdir(), `vmpool-${name}-`));
    mkdirSync(join(root, 'state'));
    mkdirSync(join(root, 'work'));
    const holder: { program: Program } = { program: () => Promise.resolve() };
    const { binDir, pulumiHome } = locateEngine();
    const stack = await LocalWorkspace.createOrSelectStack(
      { stackName: 'test', projectName: name, program: () => holder.program() },
      {
        workDir: join(root, 'work'),
        pulumiHome,
        pulumiCommand: await PulumiCommand.get({ root: dirname(binDir) }),
        envVars: {
          ...engineEnvironment().env,
          PULUMI_BACKEND_URL: `file://${join(root, 'state')}`,
          PULUMI_CONFIG_PASSPHRASE: 'not a secret: this state is gone after the test',
        },
      },
    );
    const made = new TestStack(root, stack, holder.program);
    Object.defineProperty(holder, 'program', { get: () => made.program });
    return made;
  }

  /** Sets the program without running it. */
  use(program: Program): void {
    this.program = program;
  }

  async up(program: Program, signal?: AbortSignal): Promise<UpResult> {
    this.program = program;
    const shown: string[] = [];
    const result = await this.stack.up({
      onEvent: collect(shown),
      suppressProgress: true,
      ...(signal === undefined ? {} : { signal }),
    });
    return { outputs: result.outputs, changes: { ...result.summary.resourceChanges }, shown };
  }

  /** Previews the program; gives how many resources each kind of step would be for. */
  async preview(program: Program): Promise<Readonly<Record<string, number>>> {
    this.program = program;
    return { ...(await this.stack.preview({ suppressProgress: true })).changeSummary };
  }

  /** All that the backend keeps, history and backups too, as text. */
  state(): string {
    const dir = join(this.root, 'state');
    return readdirSync(dir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'))
      .join('\n');
  }

  async destroy(): Promise<void> {
    await this.stack.destroy({ suppressProgress: true });
  }

  async close(): Promise<void> {
    try {
      await this.destroy();
    } finally {
      rmSync(this.root, { recursive: true, force: true });
    }
  }
}

function collect(shown: string[]): (event: EngineEvent) => void {
  return ({ diagnosticEvent }) => {
    // The engine adds colour directives; ephemeral ones are the progress display's.
    if (diagnosticEvent?.urn && diagnosticEvent.ephemeral !== true) {
      shown.push(diagnosticEvent.message.replace(/<\{%[^%]*%\}>/g, '').trimEnd());
    }
  };
}
