import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { hostScript } from '../../stacks/services/host-script.js';
import { nagiosSettings, planNagios } from '../../stacks/services/nagios.js';
import type { HostPlan, ServiceMember } from '../../stacks/services/plan.js';
import { cutOff, serviceInput, serviceMember } from '../support/service-host.js';
import { Enclosure, until, type Ran } from './enclosure.js';
import { hostsInNagios, nagiosReload, startNagios } from './nagios-daemon.js';

/** The real daemon with directories of its own. */
describe('Nagios', () => {
  let host: Enclosure;
  beforeAll(async () => {
    host = await Enclosure.open([
      '/etc/nagios4',
      '!/var/lib/nagios4',
      '!/var/log/nagios4',
      '!/run',
      '!/var/lib/vmpool-services',
    ]);
    await startNagios(host);
  }, 120_000);
  afterAll(() => host.close(), 60_000);

  const id = 'batch-svc-nagios';
  const planFor = (members: readonly ServiceMember[], changes: object = {}): HostPlan =>
    planNagios(
      nagiosSettings.parse({ type: 'nagios', host: 'local', reload: nagiosReload, ...changes }),
      serviceInput(0, { members: [...members] }),
      id,
    );
  const script = (plan: HostPlan): string =>
    hostScript(plan, { id, stateDir: '/var/lib/vmpool-services', place: 'here' });
  const run = (mode: 'apply' | 'remove', plan: HostPlan): Promise<Ran> =>
    host.run(`sh -s ${mode}`, script(plan));
  const members = (...numbers: number[]): ServiceMember[] => numbers.map((n) => serviceMember(n));
  const follow = async (list: readonly ServiceMember[]): Promise<void> =>
    expect(await run('apply', planFor(list))).toMatchObject({
      code: 0,
      words: expect.stringMatching(/^vmpool: (the new configuration is loaded|everything)/),
    });
  const shown = async (...numbers: number[]): Promise<void> => {
    const wanted = ['localhost', ...numbers.map((n) => serviceMember(n).name)].sort();
    let seen: string[] = [];
    await until(
      `${wanted.join()} in the status data`,
      async () => (seen = await hostsInNagios(host)).join() === wanted.join(),
      60_000,
      () => seen.join(),
    );
  };
  const pid = (): Promise<string> => host.must('cat /run/nagios4/nagios4.pid');

  it('watches who comes, forgets who leaves, and is never restarted for it', async () => {
    const before = await pid();
    await follow(members(1, 2));
    await shown(1, 2);
    await follow(members(2, 3));
    await shown(2, 3);
    await follow([]);
    await shown();
    expect(await pid()).toBe(before);
    expect(await host.must('cat /var/log/nagios4/nagios.log')).not.toMatch(/HOST NOTIFICATION|Bailing out/);
  }, 180_000);

  it('refuses a broken template and goes on with what it has', async () => {
    await follow(members(1));
    const broken = await run(
      'apply',
      planFor(members(1, 2), { hostTemplate: 'define host {\n  host_name @NAME@\n  use no-such\n}\n' }),
    );
    expect(broken.code).toBe(1);
    expect(broken.words).toMatch(/refused by its checker[^]*no-such/);
    await shown(1);
    const stray = await run('apply', planFor(members(1), { directory: '/etc/nagios4/elsewhere' }));
    expect(stray.words).toContain('has no line cfg_dir=/etc/nagios4/elsewhere');
  }, 180_000);

  it('refuses what another file of the site makes wrong, and says which', async () => {
    await host.must(
      `printf 'define host {\\n host_name ${serviceMember(2).name}\\n address 127.0.0.9\\n max_check_attempts 1\\n}\\n' >/etc/nagios4/conf.d/theirs.cfg`,
    );
    const twice = await run('apply', planFor(members(1, 2)));
    expect(twice.words).toMatch(/refused by its checker[^]*Duplicate definition/);
    await host.must('rm /etc/nagios4/conf.d/theirs.cfg');
    await follow(members(1, 2));
  }, 180_000);

  it('shows any value as it is, whatever is in it', async () => {
    const values = [
      'a;b',
      '$USER1$',
      'back\\',
      '}\ndefine host {',
      '#x',
      ' ; ',
      '"\'`$(id)',
      'é\u2028ü',
      '$',
      '\\;',
      '\t}',
    ];
    const named = values.map((flavor, n) => serviceMember(n + 1, { flavor, image: `i${String(n)}` }));
    await follow(named);
    await shown(...values.map((_, n) => n + 1));
    const cache = await host.must('cat /var/lib/nagios4/objects.cache');
    const notes = named.map(
      ({ name }) => new RegExp(`host_name\\t${name}\\n[^}]*?\\tnotes\\t(.*)`).exec(cache)?.[1],
    );
    expect(
      notes.map((text) => /^flavor (.*), image i\d+, cell c001,.*born 2026/.exec(text ?? '')?.[1]),
    ).toEqual([
      'a;b',
      '$$USER1$$',
      'back/',
      '} define host {',
      '#x',
      ';',
      '"\'`$$(id)',
      'é ü',
      '$$',
      '/;',
      '}',
    ]);
  }, 180_000);

  it('goes back when it is not taken, and catches up after it was down or a run was cut off', async () => {
    await follow(members(1));
    const deaf = await run('apply', planFor(members(1, 2), { reload: 'echo nobody was told; false' }));
    expect(deaf).toMatchObject({ code: 1, words: expect.stringContaining('nobody was told') });
    expect(await host.must('cat /etc/nagios4/conf.d/vmpool-batch.cfg')).not.toContain(serviceMember(2).name);
    const cut = { ...planFor(members(3)), reload: cutOff };
    expect((await run('apply', cut)).code).not.toBe(0);
    await follow(members(3));
    await shown(3);
    await host.must(`kill $(cat /run/nagios4/nagios4.pid)`);
    await until('the end of Nagios', async () => (await host.run('pidof nagios4')).code !== 0, 30_000);
    expect(await run('apply', planFor(members(1, 3)))).toMatchObject({
      code: 1,
      words: expect.stringContaining('No such'),
    });
    await startNagios(host);
    await follow(members(1, 3));
    await shown(1, 3);
  }, 180_000);

  it('leaves with the stack, and what a person wrote stays', async () => {
    await host.must(`printf '# by hand\\n' >/etc/nagios4/conf.d/theirs.cfg`);
    await follow(members(1));
    expect(await run('remove', planFor(members(1)))).toMatchObject({ code: 0 });
    await shown();
    expect(await host.must('ls -A /etc/nagios4/conf.d /var/lib/vmpool-services')).toBe(
      '/etc/nagios4/conf.d:\ntheirs.cfg\n\n/var/lib/vmpool-services:\n',
    );
  }, 120_000);
});
