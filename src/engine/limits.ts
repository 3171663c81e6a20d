/** Every number is in milliseconds. */

/** Beside the limits of a create and of a delete: what Pulumi itself may need for an update. */
const overheadMs = 5 * 60_000;

/** Time for a `pulumi` that was asked to stop, before it is killed. */
export const stopGraceMs = 30_000;
/** The same when the service closes the engine: nobody may wait for long then. */
export const closeGraceMs = 14_000;
/** The engine process that was asked to close ends after this, whatever it waits for. */
export const closeExitMs = 16_000;

/** Limit of one `pulumi` that brings up a cell. */
export const updateLimitMs = (createTimeoutMs: number): number => 2 * createTimeoutMs + overheadMs;
/** Limit of an update that calls no cloud. */
export const summaryLimitMs = 60_000;
/** Limit of an update of the pool's own stack, which calls no cloud but is waited for by a person. */
export const poolStackLimitMs = 2 * 60_000;
/** Limit of a command that only reads or writes state. */
export const stateCommandLimitMs = 60_000;

/**
 * Limit of one `pulumi` that brings a service's stack up or down. The commands in it have shorter limits of their own,
 * unless a site asked for very long ones.
 */
export const serviceLimitMs = 10 * 60_000;

/** How long the service waits for the engine process, which has the limits above for its own work. */
export interface CallLimits {
  /** For a call that brings up or previews a cell; then the process is stuck and is killed. */
  readonly cellMs: number;
  /** The same for the stack of a service that follows the nodes. */
  readonly serviceMs: number;
  /** The same for every other call. */
  readonly otherMs: number;
  /** After an abort the caller has its answer by then, also if the engine still waits for `pulumi`. */
  readonly abortAnswerMs: number;
  /** After an abort the call has ended by then, or the process is stuck and is killed. */
  readonly abortEndMs: number;
  /** For the process to end when the engine is closed; then it is killed. */
  readonly closeMs: number;
  /** What a killed process left has so long to end by itself when the engine is closed. */
  readonly sweepMs: number;
}

export const callLimits = (createTimeoutMs: number): CallLimits => ({
  // A lock of our own that Pulumi reports costs a second, short start; an aborted call before it its grace.
  cellMs: updateLimitMs(createTimeoutMs) + stopGraceMs + overheadMs,
  serviceMs: serviceLimitMs + stopGraceMs + overheadMs,
  otherMs: 2 * 60_000,
  abortAnswerMs: 8_000,
  abortEndMs: stopGraceMs + stateCommandLimitMs,
  closeMs: closeExitMs + 1_000,
  sweepMs: 1_500,
});
