import { Command } from 'commander';
import type { Difference, Facts } from '../../doctor/facts.js';
import type { Repaired } from '../../doctor/repair.js';
import { withJson, withPool } from '../access.js';
import { configsOf, withConfig, type ConfigOptions } from '../configured.js';
import { exitCodes } from '../exit.js';
import { count } from '../table.js';
import type { World } from '../world.js';

interface DoctorOptions extends ConfigOptions {
  readonly repair?: boolean;
  readonly guests: boolean;
  readonly json?: boolean;
}

interface Told extends Difference {
  readonly repaired?: Repaired;
}

export const doctorCommand = (world: World): Command =>
  withJson(withPool(withConfig(new Command('doctor'))))
    .description(
      'compare store, stacks, cloud, VMs and workers, explain every difference, and say who puts it right',
    )
    .option('--repair', 'do what is marked REPAIR; otherwise nothing is changed')
    .option('--no-guests', 'do not log in to VMs to read their markers')
    .addHelpText(
      'after',
      '\nExit code 0: no difference, or only what the running service puts right by itself; 1: something is to be done.',
    )
    .action(async (options: DoctorOptions) => {
      const configs = configsOf(options, world);
      const { gather, stackPlaceOf } = await import('../doctor/gather.js');
      const { differencesIn } = await import('../../doctor/differences.js');
      const { repair } = await import('../../doctor/repair.js');
      const all: { readonly facts: Facts; readonly told: readonly Told[] }[] = [];
      for (const config of configs) {
        const facts = await gather(config, world.env, options.guests);
        const here: Told[] = [];
        for (const difference of differencesIn(facts)) {
          const order = options.repair === true ? difference.repair : undefined;
          const repaired =
            order === undefined
              ? undefined
              : await repair(stackPlaceOf(config), order, { now: () => Date.now() });
          here.push(repaired === undefined ? difference : { ...difference, repaired });
        }
        all.push({ facts, told: here });
      }
      const told = all.flatMap((one) => one.told);
      const open = told.filter(({ who, repaired }) => who !== 'itself' && repaired?.ok !== true);
      if (options.json === true) {
        world.terminal.out(JSON.stringify({ ok: open.length === 0, differences: told }, null, 2));
      } else world.terminal.out(all.map((one) => text(one.facts, one.told, world)).join('\n\n'));
      world.exitWith(open.length === 0 ? exitCodes.ok : exitCodes.notInOrder);
    });

const text = (facts: Facts, told: readonly Told[], { terminal: { paint } }: World): string => {
  const label = {
    operator: paint('red', 'YOU   '),
    repair: paint('yellow', 'REPAIR'),
    itself: paint('green', 'ITSELF'),
  };
  const lines = told.flatMap(({ who, about, what, next, repaired }) => [
    `${label[who]}  ${paint('bold', about)}: ${what}`,
    `        ${next}`,
    ...(repaired === undefined
      ? []
      : repaired.ok
        ? [`        ${paint('green', 'repaired')}: ${repaired.detail}`]
        : [`        ${paint('red', 'not repaired')}: ${repaired.why}`]),
  ]);
  return [looked(facts), '', ...lines, ...(told.length === 0 ? [] : ['']), summary(told)].join('\n');
};

const looked = (facts: Facts): string => {
  const { book, cloud, stacks, markers } = facts;
  const service =
    book.kind === 'none' ? '' : book.kind === 'read' || book.kind === 'unusable' ? running(book.running) : '';
  const store =
    book.kind === 'read'
      ? `the book (${count(book.book.members.size, 'VM')}, ${count(book.book.leases.size, 'lease')}${service})`
      : book.kind === 'none'
        ? 'no book yet'
        : `a book that cannot be read${service}`;
  const servers = cloud.kind === 'listed' ? count(cloud.servers.length, 'server') : 'no answer';
  const read = Object.values(markers).filter(({ kind }) => kind === 'read').length;
  return `Pool ${facts.pool}: compared ${store}, ${count(stacks.length, 'stack')}, the cloud (${servers}), ${count(read, 'marker')} on VMs, ${count(facts.workers.length, 'worker')}.`;
};

const running = (is: boolean): string => (is ? ', a service runs on it' : ', no service runs on it');

const summary = (told: readonly Told[]): string => {
  if (told.length === 0) return 'No differences.';
  const of = (who: Difference['who']): readonly Told[] => told.filter((each) => each.who === who);
  const repairs = of('repair');
  const left = repairs.filter(({ repaired }) => repaired?.ok !== true);
  return [
    `${count(told.length, 'difference')}:`,
    `${String(of('operator').length)} for you,`,
    repairs.some(({ repaired }) => repaired !== undefined)
      ? `${String(repairs.length - left.length)} repaired, ${String(left.length)} not,`
      : `${String(repairs.length)} for vmpool doctor --repair,`,
    `${String(of('itself').length)} that the running service puts right.`,
  ].join(' ');
};
