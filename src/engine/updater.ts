import { automation } from '@pulumi/pulumi';
import { runStack } from '../../stacks/program.js';
import type { Backend } from './backend.js';
import { automationCommand, type PulumiCli } from './pulumi-command.js';

export interface UpdateOptions {
  readonly stack: string;
  /** The state has this stack already. */
  readonly exists: boolean;
  readonly parallel: number;
  /** URNs that the update must not look at. */
  readonly exclude: readonly string[];
  readonly limitMs: number;
  /** Kept in the stack's history. */
  readonly message?: string;
  readonly signal: AbortSignal;
  readonly onEvent: (event: automation.EngineEvent) => void;
}

/** The errors that an update tells of in its events; `onEvent` is to be given to it. */
export const updateErrors = (): { readonly errors: readonly string[]; readonly onEvent: UpdateOptions['onEvent'] } => {
  const errors: string[] = [];
  return {
    errors,
    onEvent: ({ diagnosticEvent }) => {
      if (diagnosticEvent?.severity === 'error') errors.push(diagnosticEvent.message.trim());
    },
  };
};

/** Runs the stacks' program by the Automation API, inline, in this process. */
export class Updater {
  constructor(
    private readonly cli: PulumiCli,
    private readonly version: automation.PulumiCommand['version'],
    private readonly workDirectory: string,
    private readonly backend: Backend,
  ) {}

  /** Throws what the Automation API throws, `PulumiFailed` when the CLI failed. */
  async up(options: UpdateOptions): Promise<void> {
    const stack = await this.stack(options);
    await stack.up({
      parallel: options.parallel,
      continueOnError: true,
      ...(options.message === undefined ? {} : { message: options.message }),
      exclude: [...options.exclude],
      onEvent: options.onEvent,
      color: 'never',
      suppressProgress: true,
      suppressOutputs: true,
    });
  }

  /** Deletes everything in the stack, then the stack. */
  async destroy(options: UpdateOptions): Promise<void> {
    const stack = await this.stack(options);
    await stack.destroy({
      parallel: options.parallel,
      onEvent: options.onEvent,
      color: 'never',
      suppressProgress: true,
      suppressOutputs: true,
    });
    await stack.workspace.removeStack(options.stack);
  }

  async preview(
    options: UpdateOptions,
  ): Promise<{ readonly changes: Readonly<Record<string, number>>; readonly text: string }> {
    const stack = await this.stack(options);
    const result = await stack.preview({
      parallel: options.parallel,
      exclude: [...options.exclude],
      onEvent: options.onEvent,
      color: 'never',
      suppressProgress: true,
    });
    const changes = Object.entries(result.changeSummary).map(([op, count]) => [op, count ?? 0] as const);
    return { changes: Object.fromEntries(changes), text: result.stdout };
  }

  private async stack(options: UpdateOptions): Promise<automation.Stack> {
    const workspace = await automation.LocalWorkspace.create({
      workDir: this.workDirectory,
      program: runStack,
      pulumiCommand: automationCommand(this.cli, this.version, {
        stack: options.stack,
        cwd: this.workDirectory,
        signal: options.signal,
        limitMs: options.limitMs,
      }),
    });
    return options.exists || this.backend.begin(options.stack)
      ? automation.Stack.select(options.stack, workspace)
      : automation.Stack.create(options.stack, workspace);
  }
}
