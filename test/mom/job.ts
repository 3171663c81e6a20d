/** What a user hands to qsub. */
export interface Submission {
  readonly user: string;
  /** The text of the script; ignored for an interactive job. */
  readonly script: string;
  readonly name?: string;
  /** `-F`: as the user wrote it, unquoted. */
  readonly args?: string;
  /** `-v`, `-V`: may hold anything that an environment may. */
  readonly variables?: Readonly<Record<string, string>>;
  readonly workDirectory?: string;
  readonly ppn?: number;
  /** Properties of the node: `nodes=1:ppn=1:big:cloud`. */
  readonly properties?: readonly string[];
  readonly walltimeSeconds?: number;
  /** More of `-l`, as it stands in the resource list: `cput=00:01:00,mem=1gb`. */
  readonly limits?: string;
  readonly shell?: string;
  readonly queue?: string;
  /** `-I` */
  readonly interactive?: boolean;
  /** Index in an array job. */
  readonly arrayIndex?: number;
  /** A command to run as a task of pbsdsh beside the job once it runs: see `Mom.pbsdsh`. */
  readonly umask?: number;
  /** `-r n`. Torque requeues it all the same when its prologue fails. */
  readonly rerunnable?: boolean;
}

export interface Start {
  readonly count: number;
  starter: number;
  prologue: number;
  /** How the prologue ended: `exit 0`, `signal 9`, `timeout 0`; null while it runs. */
  result: string | null;
  /** The job is running (the starter has become the job, or forked it). */
  running: boolean;
  tracked: boolean;
  over: boolean;
  exitStatus: number | null;
}

export interface EpilogueRun {
  readonly session: string;
  readonly exitStatus: string;
  pid: number;
  code: number | null;
  ms: number;
}

export type JobState = 'queued' | 'starting' | 'running' | 'ending' | 'held' | 'complete';

export interface JobResult {
  readonly id: string;
  readonly state: JobState;
  readonly exitStatus: number;
  readonly stdout: Buffer;
  readonly stderr: string;
  readonly starts: number;
}

/** `28.server` and `28[0].server` lie as 28.server.SC and 28-0.server.SC in mom_priv/jobs. */
export const fileNameOf = (id: string): string => id.replace(/\[(\d+)\]/, '-$1');
