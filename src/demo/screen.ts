import type { JobState } from '../../test/mom/job.js';
import type { StatusView } from '../http/api.js';
import { paintState } from '../cli/status-text.js';
import { howLong, table } from '../cli/table.js';
import type { Paint } from '../cli/terminal.js';
import type { Journal } from './journal.js';
import { phaseOf, type PlayedJob } from './play.js';

/** The live part: the pool, its VMs and the jobs. */
export const liveScreen = (
  status: StatusView | null,
  jobs: readonly PlayedJob[],
  stateOfJob: (id: string) => JobState,
  journal: Journal,
  paint: Paint,
  now: number,
): readonly string[] => {
  const parts: string[] = [''];
  if (status !== null) parts.push(poolLine(status, paint), '', vmTable(status, paint), '');
  if (jobs.length > 0) parts.push(jobTable(jobs, stateOfJob, journal, paint, now));
  return parts.join('\n').split('\n');
};

const poolLine = ({ counts, shape, members }: StatusView, paint: Paint): string => {
  const max = shape?.max ?? members.length;
  const bar = [
    paint('blue', '█'.repeat(counts.busy)),
    paint('green', '█'.repeat(counts.free)),
    paint('yellow', '▒'.repeat(counts.unusable)),
    paint('dim', '·'.repeat(Math.max(0, max - members.length))),
  ].join('');
  return `${paint('bold', 'Pool')} ${bar} ${String(counts.busy)} Busy, ${String(counts.free)} Free, ${String(counts.unusable)} Unusable of at most ${String(max)}; ${String(counts.waiting)} waiting`;
};

const vmTable = (status: StatusView, paint: Paint): string =>
  table(
    [
      { title: 'VM' },
      { title: 'STATE' },
      { title: 'SINCE', align: 'right' },
      { title: 'JOB' },
      { title: 'USER' },
    ],
    status.members.map((member) => [
      member.name,
      paintState(member, paint),
      howLong(Date.parse(status.now) - Date.parse(member.since)),
      member.job?.id ?? '',
      member.job?.user ?? '',
    ]),
    paint,
  );

const jobTable = (
  jobs: readonly PlayedJob[],
  stateOfJob: (id: string) => JobState,
  journal: Journal,
  paint: Paint,
  now: number,
): string =>
  table(
    [
      { title: 'JOB' },
      { title: 'USER' },
      { title: 'WHAT' },
      { title: 'NOW' },
      { title: 'VM' },
      { title: 'WAITED', align: 'right' },
      { title: 'ON VM', align: 'right' },
    ],
    jobs.map((played) => {
      const phase = phaseOf(played, stateOfJob(played.id), journal);
      const cost = costOf(played, journal, now);
      return [
        played.id,
        played.job.user,
        played.job.what,
        paintPhase(phase, paint),
        cost.vms.at(-1) ?? '',
        howLong(cost.waitedMs),
        howLong(cost.onVmMs),
      ];
    }),
    paint,
  );

const paintPhase = (phase: string, paint: Paint): string => {
  if (phase === 'done') return paint('green', phase);
  if (phase === 'runs') return paint('blue', phase);
  return phase === 'WRONG' ? paint('red', phase) : paint('yellow', phase);
};

/** What a job cost so far: waiting is everything but the time on a VM, Torque's and the hooks' part included. */
export const costOf = (
  played: PlayedJob,
  journal: Journal,
  now: number,
): { readonly vms: readonly string[]; readonly waitedMs: number; readonly onVmMs: number } => {
  const until = played.outcome?.at ?? now;
  const { vms, onVmMs } = journal.times(played.id, until);
  return { vms, onVmMs, waitedMs: Math.max(0, until - played.submittedAt - onVmMs) };
};

/** The table at the end: what each job cost, what came of it, and whether that is what should. */
export const resultTable = (jobs: readonly PlayedJob[], journal: Journal, paint: Paint): string =>
  table(
    [
      { title: 'JOB' },
      { title: 'USER' },
      { title: 'WHAT' },
      { title: 'WAITED', align: 'right' },
      { title: 'ON VM', align: 'right' },
      { title: 'STARTS', align: 'right' },
      { title: 'EXIT', align: 'right' },
      { title: 'RESULT' },
    ],
    jobs.map((played) => {
      const { result = null, problems = [] } = played.outcome ?? {};
      const { waitedMs, onVmMs } = costOf(played, journal, Date.now());
      return [
        played.id,
        played.job.user,
        played.job.what,
        howLong(waitedMs),
        howLong(onVmMs),
        String(result?.starts ?? '-'),
        String(result?.exitStatus ?? '-'),
        problems.length === 0
          ? `${paint('green', 'ok')}  ${played.job.expected}`
          : `${paint('red', 'WRONG')}  ${played.job.expected}, but: ${problems.join('; ')}`,
      ];
    }),
    paint,
  );
