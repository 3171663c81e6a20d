import type { HistoryEntry, MemberDetail } from '../../http/detail-api.js';
import { age, howLong } from '../table.js';
import { usedSoFar } from './leases.js';
import { harmless, harmlessLine, type Paint } from '../terminal.js';
import { eventLine } from './events.js';
import { paintWord } from './vms.js';

const ago = (iso: string, nowMs: number): string => `${age(nowMs - Date.parse(iso))} ago`;

const section = (title: string, text: string, paint: Paint): string => `${paint('bold', title)}\n${text}`;

const pairs = (rows: readonly (readonly [string, string])[]): string => {
  const wide = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `  ${name.padEnd(wide)}  ${value}`).join('\n');
};

const holdLine = ({ hold, member }: MemberDetail): string => {
  if (hold === null) return 'no';
  const limit = hold.limitMs === null ? '' : `, given back after ${howLong(hold.limitMs)}`;
  const when =
    member.reason === 'held' ? '' : hold.kind === 'drain' ? ' (once it is clean)' : ' (when its job ends)';
  return harmlessLine(`${hold.kind}: ${hold.why}${limit}${when}`);
};

const madeLine = ({ made }: MemberDetail): string =>
  made === undefined
    ? 'not known: an earlier version made it'
    : harmlessLine(`${made.reason}: ${made.detail}`);

const list = (values: readonly string[]): string => (values.length === 0 ? '-' : values.join(', '));

/** One VM whole: what it is, what runs there, how it answers, what became of it. */
export const memberText = (
  detail: MemberDetail,
  history: readonly HistoryEntry[],
  consoleText: string | null,
  nowMs: number,
  paint: Paint,
  width: number,
): string => {
  const { member, spec, ssh, lease } = detail;
  const { probe, job } = member;
  const parts = [
    `${paint('bold', member.name)}: ${paintWord(member, paint)} for ${age(nowMs - Date.parse(member.since))}${
      member.detail === '' ? '' : `: ${harmlessLine(member.detail)}`
    }`,
    pairs([
      ['age', age(nowMs - Date.parse(member.bornAt))],
      ['made for', madeLine(detail)],
      ['address', ssh === null ? '-' : ssh.port === 22 ? ssh.host : `${ssh.host} port ${String(ssh.port)}`],
      [
        'server',
        `${member.serverId ?? 'none yet'}${detail.serverStatus === null ? '' : ` (${detail.serverStatus})`}`,
      ],
      ['stack', `${detail.stack} (${detail.engine})`],
      ['spec', `${member.generation}${member.current ? '' : ', not that of the pool any more'}`],
      ['held', holdLine(detail)],
      ['to retire', member.retiring === null ? 'no' : harmlessLine(member.retiring)],
      [
        'probe',
        probe === null
          ? 'none yet'
          : probe.failures === 0
            ? `answered ${ago(probe.at, nowMs)}`
            : paint('red', `${String(probe.failures)} failed in a row, the last ${ago(probe.at, nowMs)}`),
      ],
    ]),
    section(
      'Spec',
      pairs([
        ['flavor', spec.flavor],
        ['image', spec.image],
        ['networks', list(spec.networks)],
        ['security groups', list(spec.securityGroups)],
        ['zones', list(spec.availabilityZones)],
        ['boot volume', spec.bootVolumeGiB === null ? 'none' : `${String(spec.bootVolumeGiB)} GiB`],
        ['floating IP', spec.floatingIpPool ?? 'none'],
      ]),
      paint,
    ),
    section(
      'Job',
      job === null
        ? '  none'
        : pairs([
            ['job', job.id],
            ['user', job.user],
            ['queue', lease?.queue === undefined || lease.queue === '' ? '-' : harmlessLine(lease.queue)],
            ['worker', job.worker],
            ['since', ago(job.since, nowMs)],
            ...(lease?.usage === undefined ? [] : [['used', usedSoFar(lease.usage, nowMs)] as const]),
            ['lease', `${job.lease} (${lease?.ready === true ? 'ready' : 'being made ready'})`],
          ]),
      paint,
    ),
    section(
      'History',
      history.length === 0
        ? '  none is kept'
        : history
            .filter(({ kind }) => kind !== 'console')
            .map((entry) => `  ${eventLine({ ...entry, vm: null }, paint, width - 2, true)}`)
            .join('\n'),
      paint,
    ),
  ];
  const kept = history.findLast(({ kind }) => kind === 'console')?.detail ?? null;
  const log = consoleText ?? kept;
  if (log !== null)
    parts.push(
      section(
        consoleText === null ? 'Console (kept when it did not come up)' : 'Console',
        harmless(log)
          .split('\n')
          .map((line) => `  ${line}`)
          .join('\n'),
        paint,
      ),
    );
  return parts.join('\n\n');
};
