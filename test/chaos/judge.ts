import type { EndEvidence, Evidence, JobEvidence, RunEvidence } from './evidence.js';

export interface Check {
  readonly what: string;
  /** What was found against it, a sentence each. */
  readonly wrong: readonly string[];
}

export interface Verdict {
  readonly checks: readonly Check[];
  /** How many jobs ended how, in the words of the summary. */
  readonly outcomes: Readonly<Record<string, number>>;
}

const requeues = 99;
/** As the mom sees the end of a job starter that SIGKILL hit: 256 and the signal. */
const starterKilled = 256 + 9;

/** Judges a run of chaos by its evidence alone. Pure. */
export const judge = (evidence: Evidence): Verdict => {
  const runsOf = new Map<string, RunEvidence[]>();
  for (const run of evidence.runs) runsOf.set(run.key, [...(runsOf.get(run.key) ?? []), run]);
  const outcomes: Record<string, number> = {};
  const jobChecks = evidence.jobs.map((job): Check => {
    const { wrong, outcome } = judgeJob(job, runsOf.get(job.key) ?? []);
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    return { what: `job ${job.key} ran exactly once or ended with a clear reason`, wrong };
  });
  const known = new Set(evidence.jobs.map(({ key }) => key));
  return {
    outcomes,
    checks: [
      ...jobChecks,
      {
        what: 'nothing ran that nobody submitted',
        wrong: evidence.runs
          .filter(({ key }) => !known.has(key))
          .map(({ key, vm }) => `job ${key} ran on ${vm} and was never submitted`),
      },
      {
        what: 'no job met another on its VM, or another execution of itself anywhere',
        wrong: evidence.runs.flatMap(meetings),
      },
      {
        what: 'every job ran on a VM that was leased to it',
        wrong: evidence.runs.flatMap(({ key, vm, lessee }) =>
          lessee === null || lessee.key === key
            ? []
            : [`job ${key} ran on ${vm}, which was leased to ${lessee.key}`],
        ),
      },
      {
        what: 'no work was cut off whose VM and job starter were left alone',
        wrong: evidence.jobs.flatMap((job) => cutOff(job, runsOf.get(job.key) ?? [])),
      },
      ...evidence.faults.map(({ kind, what, wrong }) => ({ what: `fault ${kind} (${what})`, wrong })),
      { what: 'the run came to its end', wrong: evidence.trouble },
      ...(evidence.end === null
        ? [{ what: 'the site came to rest', wrong: ['it did not: there is no end to look at'] }]
        : endChecks(evidence.end)),
    ],
  };
};

const meetings = (run: RunEvidence): readonly string[] =>
  run.besides.map((other) =>
    other.key === run.key
      ? `job ${run.key} was executed twice at the same time: ${other.nonce} on ${other.vm} and ${run.nonce} on ${run.vm}`
      : `jobs ${other.key} and ${run.key} met on ${run.vm}`,
  );

/** A Busy VM is nobody's to end, and a job is ended by the end of its starter alone. */
const cutOff = (job: JobEvidence, runs: readonly RunEvidence[]): readonly string[] =>
  runs
    .filter(
      ({ doneAt, vmKilled, lessee }) =>
        doneAt === null &&
        !vmKilled &&
        !(job.starts[(lessee?.start ?? job.starts.length) - 1]?.starterKilled ?? false),
    )
    .map(({ vm, nonce }) => `the work of job ${job.key} on ${vm} (${nonce}) was cut off`);

const judgeJob = (
  job: JobEvidence,
  runs: readonly RunEvidence[],
): { readonly wrong: readonly string[]; readonly outcome: string } => {
  const wrong = [...executions(job, runs), ...ending(job, runs)];
  if (wrong.length > 0) return { wrong: wrong.map((text) => `${text} [${told(job)}]`), outcome: 'WRONG' };
  if (job.exitStatus === 0)
    return { wrong, outcome: runs.length > 1 ? 'ran again after its VM was lost' : 'ran once' };
  const last = runs.at(-1);
  const when = last === undefined ? 'before' : last.doneAt === null ? 'in' : 'after';
  return { wrong, outcome: `${reasonOf(job) ?? 'ended'} ${when} its work` };
};

/** At most one execution for each start of the job, and none after one whose end Torque was told. */
const executions = (job: JobEvidence, runs: readonly RunEvidence[]): readonly string[] => {
  const wrong: string[] = [];
  const starts = new Set<number>();
  for (const [at, run] of runs.entries()) {
    const start = run.lessee?.start ?? null;
    if (start !== null) {
      if (starts.has(start)) wrong.push(`start ${String(start)} was executed twice`);
      starts.add(start);
      if (start > job.starts.length)
        wrong.push(`start ${String(start)} was executed, which Torque never made`);
    }
    if (at === runs.length - 1) continue;
    const status = start === null ? null : (job.starts[start - 1]?.exitStatus ?? null);
    if (start !== null && status !== requeues)
      wrong.push(
        `it was executed again although start ${String(start)} had ended with ${String(status)}, which asks for no other`,
      );
  }
  if (runs.length > job.starts.length)
    wrong.push(`${String(runs.length)} executions of ${String(job.starts.length)} starts`);
  return wrong;
};

const ending = (job: JobEvidence, runs: readonly RunEvidence[]): readonly string[] => {
  const wrong: string[] = [];
  if (job.state !== 'complete' && job.state !== 'held') return [`lost: it is still ${job.state}`];
  for (const start of job.starts.slice(0, -1))
    if (start.exitStatus === requeues && !/^vmpool: /m.test(job.stderr))
      wrong.push('a start of it asked for another, and its stderr does not say why');
  if (job.state === 'complete' && job.exitStatus === 0) {
    const last = runs.at(-1);
    if (last === undefined) return [...wrong, 'lost: it ended with 0 and never ran'];
    if (last.doneAt === null) wrong.push('lost: it ended with 0 before its work was done');
    if (!job.stdout.includes(`worked ${last.nonce}\n`)) wrong.push('its output was lost');
    if (job.result !== last.nonce) wrong.push('its result file did not come back');
    return wrong;
  }
  const reason = reasonOf(job);
  return reason === null ? [...wrong, 'it ended without a clear reason'] : wrong;
};

/** What the user is told of an end that is not 0, null when that is nothing. */
const reasonOf = (job: JobEvidence): string | null => {
  const words = `${job.stderr}\n${job.messages}`;
  if (job.state === 'held') return /is held|started \d+ times/.test(words) ? 'held' : null;
  switch (job.exitStatus) {
    case starterKilled:
      return (job.starts.at(-1)?.starterKilled ?? false) ? 'its job starter was killed' : null;
    case 97:
      return /could not be copied back/.test(words) ? 'files not copied back' : null;
    case 98:
      return /is not run: ./.test(words) ? 'refused' : null;
    case requeues:
      return /^vmpool: /m.test(words) ? 'started again too often' : null;
    case -2:
      return /was not run: ./.test(words) ? 'ended by its prologue' : null;
    default:
      return null;
  }
};

const told = (job: JobEvidence): string => {
  const starts = job.starts
    .map(({ exitStatus, prologue }) => `prologue ${prologue ?? 'none'}, ${String(exitStatus)}`)
    .join('; ');
  const stderr = job.stderr.trim().split('\n').slice(-3).join(' | ');
  return `${job.state} ${String(job.exitStatus)}; starts: ${starts}; stderr: ${stderr}`;
};

const previewChecks = (previews: readonly Preview[]): readonly Check[] =>
  previews.map(({ stack, known, changes, lines }) => ({
    what: `pulumi preview of ${stack} is clean, and the service knows it`,
    wrong: [
      ...(changes === null ? [`it failed: ${lines.join(' ')}`] : changes === 0 ? [] : [lines.join('; ')]),
      ...(known ? [] : [`the service knows nothing of ${stack}`]),
    ],
  }));

type Preview = EndEvidence['previews'][number];

const endChecks = (end: EndEvidence): readonly Check[] => {
  const members = end.members.map(({ name }) => name);
  const planned = end.previews.flatMap(({ instances }) => instances);
  return [
    {
      what: 'no lease is stuck',
      wrong: end.leases.map((lease) => `lease of ${lease} is left`),
    },
    { what: 'no request is stuck', wrong: end.requests.map((request) => `request of ${request} is left`) },
    {
      what: 'no VM has leaked: every server is a member, every member a server',
      wrong: [
        ...missing(end.servers, members).map((name) => `server ${name} is no member of the pool`),
        ...missing(members, end.servers).map((name) => `member ${name} has no server`),
      ],
    },
    {
      what: 'the pool is at its minimum and all of it is Free',
      wrong: [
        ...(members.length === end.min
          ? []
          : [`${String(members.length)} members instead of ${String(end.min)}`]),
        ...end.members
          .filter(({ state }) => state !== 'Free')
          .map(({ name, state, reason }) => `${name} is ${state} (${reason ?? 'no reason'})`),
      ],
    },
    { what: 'the service reports no problem', wrong: end.problems },
    { what: 'nothing of a job is left on VMs and workers', wrong: end.traces },
    { what: 'the store is readable', wrong: end.storeDamage === null ? [] : [end.storeDamage] },
    {
      what: 'the service stops cleanly',
      wrong: end.serviceEnd === 'exit code 0' ? [] : [`it ended with ${end.serviceEnd}`],
    },
    ...previewChecks(end.previews),
    {
      what: 'the stacks hold exactly the members',
      wrong: [
        ...missing(planned, members).map((name) => `${name} is in a stack and no member`),
        ...missing(members, planned).map((name) => `${name} is a member and in no stack`),
      ],
    },
    { what: 'nothing is left on this machine', wrong: end.leftOnMachine },
  ];
};

const missing = (these: readonly string[], those: readonly string[]): readonly string[] =>
  these.filter((name) => !those.includes(name));
