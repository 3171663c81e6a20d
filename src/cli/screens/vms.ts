import type { MemberView, StatusView } from '../../http/api.js';
import { fitted } from '../fitted.js';
import { age, count } from '../table.js';
import { harmlessLine, type Paint } from '../terminal.js';
import { poolCell, poolColumn } from './pools.js';

/** `Free`, `Busy`, or why it is unusable: one word. */
export const word = ({ state, reason }: Pick<MemberView, 'state' | 'reason'>): string => reason ?? state;

/** What wants a person first: broken, silent, held; then what a job runs on in spite of trouble; then what is on its way. */
const order: readonly string[] = [
  'error',
  'lost',
  'unreachable',
  'held',
  'trouble',
  'scrubbing',
  'building',
  'deleting',
  'Busy',
  'Free',
];
const rank = (vm: MemberView): number =>
  order.indexOf(vm.reason === null && vm.detail !== '' ? 'trouble' : word(vm));

/** The most urgent first; among equals, what has been so for longest. */
export const byUrgency = (vms: readonly MemberView[]): MemberView[] =>
  [...vms].sort(
    (a, b) => rank(a) - rank(b) || Date.parse(a.since) - Date.parse(b.since) || (a.name < b.name ? -1 : 1),
  );

export const paintWord = (vm: MemberView, paint: Paint): string => {
  const text = word(vm);
  if (vm.reason === null) {
    if (vm.detail !== '') return paint('red', text);
    return paint(vm.state === 'Free' ? 'green' : 'blue', text);
  }
  const passing = ['building', 'scrubbing', 'deleting'].includes(vm.reason);
  return paint(passing ? 'yellow' : 'red', text);
};

export const remarksOf = (vm: MemberView): string =>
  [
    vm.detail,
    (vm.probe?.failures ?? 0) > 0 ? `${count(vm.probe?.failures ?? 0, 'probe')} failed` : '',
    vm.retiring === null ? '' : `to be retired: ${vm.retiring}`,
    vm.current ? '' : `old spec ${vm.generation}`,
  ]
    .filter((text) => text !== '')
    .map(harmlessLine)
    .join('; ');

/** VMs in a table no wider than `width`. */
export const vmsText = (vms: readonly MemberView[], nowMs: number, paint: Paint, width: number): string => {
  const pool = poolColumn(vms);
  return fitted(
    [
      { title: 'VM' },
      ...pool,
      { title: 'STATE' },
      { title: 'FOR', align: 'right' },
      { title: 'AGE', align: 'right', drop: 2 },
      { title: 'JOB', least: 8 },
      { title: 'USER', least: 6 },
      { title: 'ADDRESS', drop: 3 },
      { title: 'CELL', drop: 4 },
      { title: 'PROBED', align: 'right', drop: 5 },
      { title: 'REMARKS', least: 12, drop: 1 },
    ],
    byUrgency(vms).map((vm) => [
      vm.name,
      ...poolCell(pool, vm),
      paintWord(vm, paint),
      age(nowMs - Date.parse(vm.since)),
      age(nowMs - Date.parse(vm.bornAt)),
      vm.job?.id ?? '-',
      vm.job?.user ?? '-',
      vm.address ?? '-',
      vm.cell,
      vm.probe === null ? '-' : age(nowMs - Date.parse(vm.probe.at)),
      remarksOf(vm),
    ]),
    paint,
    width,
  );
};

/** `6 of max 8 VMs: 2 Free, 3 Busy, 1 Unusable`. */
export const vmsHead = ({ pool, shape, counts, members }: StatusView, paint: Paint): string => {
  const of = shape === null ? '' : ` of at most ${String(shape.max)}`;
  const states = [
    paint('green', `${String(counts.free)} Free`),
    paint('blue', `${String(counts.busy)} Busy`),
    counts.unusable === 0 ? '0 Unusable' : paint('yellow', `${String(counts.unusable)} Unusable`),
  ].join(', ');
  return `${paint('bold', pool)}: ${count(members.length, 'VM')}${of}; ${states}`;
};
