/** Exit codes of `vmpool`, the same for every command (docs/reference/cli.md). */
export const exitCodes = {
  ok: 0,
  /** Something is not in order, or the command could not do its work. */
  notInOrder: 1,
  /** Wrong arguments, or a configuration with errors. */
  usage: 2,
  /** The service cannot be reached. */
  unreachable: 3,
  /** The service was reached and said no. */
  refused: 4,
  /** `vmpool run`: VM Pool itself failed; every other code is the command's own. */
  runFailed: 125,
  /** A command that runs until it is told to end, or has to leave something in order, was ended by a signal: 128 and its number. */
  hangup: 129,
  interrupted: 130,
  terminated: 143,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Ends a command with a sentence for the user: what happened and what to do. */
export class CliError extends Error {
  override readonly name = 'CliError';
  constructor(
    message: string,
    readonly code: ExitCode = exitCodes.notInOrder,
  ) {
    super(message);
  }
}
