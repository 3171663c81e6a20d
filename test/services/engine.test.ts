import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Nagios } from '../../src/demo/services/nagios.js';
import { ServiceHost } from '../../src/demo/services/service-host.js';
import { markOf } from '../../src/engine/environment.js';
import { endProcess, markedProcesses } from '../../src/engine/orphans.js';
import type { ServiceView } from '../../src/http/api.js';
import { poolClock } from '../../src/service/clock.js';
import { startFollowers, type Followers } from '../../src/service/followers.js';
import type { ServiceInput } from '../../stacks/services/plan.js';
import { parseServices, type Services } from '../../stacks/services/registry.js';
import { quietLog } from '../support/quiet-log.js';
import { startEngineBench, until, type EngineBench } from '../support/engine.js';
import { serviceInput, serviceMember } from '../support/service-host.js';

const minutes = 60_000;

/**
 * The followers of a pool, the engine with everything real, and Nagios on a host of its own that is reached by SSH; the
 * list of VMs is the test's.
 */
describe('services that follow a list of VMs, with faults on the way', () => {
  let bench: EngineBench;
  let host: ServiceHost;
  let nagios: Nagios;
  let followers: Followers;
  let input: ServiceInput = serviceInput(0, { pool: 'p' });

  beforeAll(async () => {
    bench = await startEngineBench({ engine: { orphanGraceMs: 0 } });
    host = await ServiceHost.start(bench.directory, '127.126.255.250', 2222);
    nagios = await Nagios.start(host);
    followers = startFollowers({
      ...{ engine: bench.engine, pool: 'p', clock: poolClock(0), log: quietLog },
      input: () => input,
    });
  }, 2 * minutes);
  afterAll(async () => {
    await followers.stop();
    await bench.close();
    await host.stop();
  }, minutes);

  const theirs = '/etc/nagios4/conf.d/vmpool-p.cfg';
  const name = (n: number): string => serviceMember(n).name;
  const list = (...numbers: number[]): void => {
    input = serviceInput(0, { pool: 'p', members: numbers.map((n) => serviceMember(n)) });
  };
  /** Says no to VM 9 when it is told of it, and stays at work while /var/hold is there. */
  const reload = (tell: string): string =>
    `! grep -q ${name(9)} ${theirs} 2>/dev/null || { echo nobody can load VM 9; exit 1; }; ` +
    `echo $PPID $$ >/var/reached; while [ -e /var/hold ]; do sleep 0.1; done; echo told >>/var/told; ${tell}`;
  const services = (nagiosChanges: object = {}, others: object = {}): Services => {
    const watched = { host: host.host, reload: reload(nagios.settings.reload), ...nagiosChanges };
    const parsed = parseServices({ nagios: watched, ...others });
    if (!parsed.ok) throw new Error(parsed.errors.join());
    return parsed.value;
  };
  const file = (path: string): string => join(bench.directory, path);
  const other = (): string => (existsSync(file('other')) ? readFileSync(file('other'), 'utf8') : '');
  const view = (service = 'nagios'): ServiceView | undefined =>
    followers.views().find((one) => one.name === service);
  const upToDate = async (count: number, service = 'nagios'): Promise<void> => {
    const there = (): boolean => view(service)?.upToDate === true && view(service)?.hosts === count;
    await until(`${service} with ${String(count)} VMs`, there, 2 * minutes).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${JSON.stringify(view(service))}`);
    });
  };
  const failed = (words: RegExp): Promise<void> =>
    until(`an error ${String(words)}`, () => words.test(view()?.lastError ?? ''), 2 * minutes);
  const shown = async (): Promise<string[]> => [...(await nagios.look()).hosts.keys()].sort();
  const shows = async (...numbers: number[]): Promise<void> => {
    const wanted = numbers.map(name).sort();
    const right = async (): Promise<boolean> => (await shown()).join() === wanted.join();
    await until(`${wanted.join()} in Nagios`, right, minutes).catch(async (error: unknown) => {
      throw new Error(`${String(error)}; it shows ${(await shown()).join()}`);
    });
  };
  const told = async (): Promise<number> =>
    (await host.run('cat /var/told 2>/dev/null || :')).split('told').length - 1;
  const hold = (): Promise<string> => host.run('rm -f /var/reached; : >/var/hold');
  const reached = (): Promise<void> =>
    until('an update between write and reload', async () => {
      return (await host.run('cat /var/reached 2>/dev/null || :')).includes('\n');
    });
  const letGo = (): Promise<string> => host.run('rm -f /var/hold');

  it(
    'makes one update of ten changes in a second, and the host shows the newest list',
    async () => {
      list(1);
      await followers.adopt(services());
      await upToDate(1);
      await shows(1);
      const before = await told();
      for (let n = 1; n <= 10; n += 1) {
        list(...Array.from({ length: n }, (_, at) => at + 10));
        await sleep(95);
      }
      await upToDate(10);
      await shows(...Array.from({ length: 10 }, (_, at) => at + 10));
      expect((await told()) - before).toBe(1);
    },
    4 * minutes,
  );

  it(
    'comes to the newest list when half of the VMs change while an update runs',
    async () => {
      list(1, 2, 3, 4);
      await hold();
      await reached();
      const before = await told();
      list(3, 4, 5, 6);
      await sleep(3_000);
      list(4, 6, 7, 8);
      expect(view()).toMatchObject({ running: true, upToDate: false });
      await letGo();
      await upToDate(4);
      await shows(4, 6, 7, 8);
      expect((await told()) - before).toBe(2);
    },
    4 * minutes,
  );

  it(
    'stays as it was when the checker says no, and says why',
    async () => {
      await followers.adopt(
        services({ hostTemplate: 'define host {\n  host_name @NAME@\n  use no-such\n}\n' }),
      );
      await failed(/refused by its checker.*no-such/);
      await shows(4, 6, 7, 8);
      await followers.adopt(services());
      await upToDate(4);
    },
    4 * minutes,
  );

  it(
    'goes back when the reload fails; a preview shows who is to come and go, by name; the newest list ends it',
    async () => {
      list(4, 6, 9);
      await failed(/the old configuration is back and loaded.*nobody can load VM 9/);
      await shows(4, 6, 7, 8);
      expect(view()).toMatchObject({ hosts: 4, toAdd: 1, toRemove: 2, upToDate: false });
      const { output } = await bench.plain('p-svc-nagios', ['preview']);
      expect(output).toMatch(new RegExp(`\\+ +vmpool:services:Host +${name(9)} +create`));
      for (const n of [7, 8])
        expect(output).toMatch(new RegExp(`- +vmpool:services:Host +${name(n)} +delete`));
      expect(output).not.toContain(name(4));
      list(4, 6);
      await upToDate(2);
      await shows(4, 6);
    },
    4 * minutes,
  );

  it(
    'waits for a host that does not answer, while others go on, and catches up when it does',
    async () => {
      const local = {
        type: 'command',
        host: 'local',
        stateDir: file('services'),
        apply: `cat >${file('other')}`,
      };
      await followers.adopt(services({}, { other: local }));
      await upToDate(2, 'other');
      const sshd = (signal: string): Promise<string> => host.run(`kill -${signal} "$(pgrep -o -x sshd)"`);
      await sshd('STOP');
      try {
        list(4, 6, 10);
        await upToDate(3, 'other');
        expect(other()).toContain(name(10));
        expect(view()).toMatchObject({ upToDate: false, toAdd: 1 });
        await failed(/timed out/);
        expect(view()?.behindSince).not.toBeNull();
      } finally {
        await sshd('CONT');
        // nsenter stops with the program that it runs, and does not go on with it.
        execFileSync('pkill', ['-CONT', '-x', 'nsenter', '-P', String(process.pid)]);
      }
      list(6, 11);
      await upToDate(2);
      await shows(6, 11);
    },
    4 * minutes,
  );

  it.each([
    ['with the run on the host', true, [6, 12], [12, 13]],
    ['and the run on the host goes on', false, [14], [13, 15]],
  ])(
    'is mended by the next update when the engine is killed between write and reload, %s',
    async (_how, cutThere, before, after) => {
      const shownBefore = await shown();
      await hold();
      list(...before);
      await reached();
      // Those that lose their parent end by themselves, some of them before their turn.
      for (const { pid } of markedProcesses(markOf(bench.options))) endProcess(pid, 'SIGKILL');
      if (cutThere)
        await host.run(
          'read -r timeout hook </var/reached && kill -9 $(ps -o ppid= -p $timeout) $timeout $hook',
        );
      await until('the end of the update', () => view()?.lastError !== null);
      // What is on the disk is not what Nagios has.
      expect(await host.run(`cat ${theirs}`)).toContain(name(before.at(-1) ?? 0));
      expect(await shown()).toEqual(shownBefore);
      list(...after);
      await letGo();
      await upToDate(after.length);
      await shows(...after);
      expect(await nagios.keepsOthers()).toBe(true);
    },
    5 * minutes,
  );

  it(
    'takes out what was its own with the stack, and nothing else',
    async () => {
      await followers.adopt({});
      await until('the end of the services', () => followers.views().length === 0, 2 * minutes);
      await shows();
      expect(await nagios.keepsOthers()).toBe(true);
      expect(await host.run('ls -A /etc/nagios4/conf.d /var/lib/vmpool-services')).toBe(
        '/etc/nagios4/conf.d:\nmonitor.cfg\n\n/var/lib/vmpool-services:\n',
      );
      expect(other()).toMatch(/"members": \[\]/);
    },
    3 * minutes,
  );
});
