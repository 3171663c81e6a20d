/** What a chaos run has seen, as plain data: the judge looks at nothing else. */

/** One execution of a job's work on a VM, on record before its work began. */
export interface RunEvidence {
  /** Of the job, over all workers. */
  readonly key: string;
  readonly nonce: string;
  /** The server on which it ran. */
  readonly vm: string;
  /** Whose VM it was, by the marker that lay on it; null when there was none. */
  readonly lessee: { readonly key: string; readonly start: number } | null;
  /** Milliseconds since the run of chaos began. */
  readonly beganAt: number;
  readonly doneAt: number | null;
  /** Chaos ended its VM. */
  readonly vmKilled: boolean;
  /** Executions alive when this one began: of the same job anywhere, or of any job on the same VM. */
  readonly besides: readonly { readonly key: string; readonly nonce: string; readonly vm: string }[];
}

export interface StartEvidence {
  readonly exitStatus: number | null;
  /** How its prologue ended: `exit 0`, `signal 9`. */
  readonly prologue: string | null;
  /** Its job starter was killed by us. */
  readonly starterKilled: boolean;
}

export interface JobEvidence {
  readonly key: string;
  readonly state: string;
  readonly exitStatus: number;
  readonly stdout: string;
  readonly stderr: string;
  /** What was left for the user in files, because Torque delivers no output. */
  readonly messages: string;
  /** Content of the file that it was to bring back, null when there is none. */
  readonly result: string | null;
  readonly starts: readonly StartEvidence[];
}

export interface EndEvidence {
  readonly members: readonly {
    readonly name: string;
    readonly state: string;
    readonly reason: string | null;
  }[];
  readonly min: number;
  readonly leases: readonly string[];
  readonly requests: readonly string[];
  readonly problems: readonly string[];
  /** Names of all servers in the cloud. */
  readonly servers: readonly string[];
  /** Traces of jobs on VMs and workers, a sentence each. */
  readonly traces: readonly string[];
  /** Why the store cannot be read, null when it can. */
  readonly storeDamage: string | null;
  /** How the service ended on SIGTERM. */
  readonly serviceEnd: string;
  readonly previews: readonly {
    readonly stack: string;
    /** The pool's own stack, or a cell on the service's status. */
    readonly known: boolean;
    /** Null: the preview itself failed. */
    readonly changes: number | null;
    readonly instances: readonly string[];
    readonly lines: readonly string[];
  }[];
  /** What is left on this machine after everything has stopped. */
  readonly leftOnMachine: readonly string[];
}

export interface FaultEvidence {
  readonly kind: string;
  /** What was done, for people. */
  readonly what: string;
  /** What the product did not do as it promises, a sentence each. */
  readonly wrong: readonly string[];
}

export interface Evidence {
  readonly jobs: readonly JobEvidence[];
  readonly runs: readonly RunEvidence[];
  readonly faults: readonly FaultEvidence[];
  /** Null when the site did not come to rest: then there is no end to look at. */
  readonly end: EndEvidence | null;
  /** What went wrong with the run itself. */
  readonly trouble: readonly string[];
}
