import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { execFileSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { hostScript } from '../../stacks/services/host-script.js';
import { ganeshaSettings, planGanesha } from '../../stacks/services/nfs-ganesha.js';
import type { HostPlan, ServiceMember } from '../../stacks/services/plan.js';
import { cutOff, serviceInput, serviceMember } from '../support/service-host.js';
import { Enclosure, until } from './enclosure.js';

jest.setTimeout(180_000);

/** The file server: Ganesha on D-Bus, as Debian runs it, in namespaces of its own. */
let server: Enclosure;
const clients: ChildProcess[] = [];

const id = 'batch-svc-files';
const settings = (changes: object = {}) =>
  ganeshaSettings.parse({
    type: 'nfs-ganesha',
    host: 'local',
    exports: [
      { id: 77, path: '/srv/scratch', pseudo: '/scratch', squash: 'No_Root_Squash', also: ['10.77.0.9'] },
    ],
    ...changes,
  });
/** Each VM of the test is an address of the loopback in there: a client that calls an address calls from it. */
const vm = (n: number): ServiceMember => serviceMember(n, { addresses: [`10.77.0.${String(n)}`] });
const planFor = (members: readonly ServiceMember[], changes: object = {}): HostPlan =>
  planGanesha(settings(changes), serviceInput(0, { members: [...members] }), id);
const script = (plan: HostPlan) =>
  hostScript(plan, { id, stateDir: '/var/lib/vmpool-services', place: 'here' });
const apply = (plan: HostPlan) => server.run('sh -s apply', script(plan));
const allow = async (...members: ServiceMember[]): Promise<void> => {
  expect(await apply(planFor(members))).toMatchObject({ code: 0 });
};

class Client {
  private constructor(
    private readonly child: ChildProcess,
    private readonly lines: Interface,
    readonly mounted: string,
  ) {}

  static async mount(n: number, path = '/scratch'): Promise<Client> {
    const url = `nfs://10.77.0.${String(n)}${path}?version=4`;
    const child = server.start(`exec ${join(server.folder, 'nfs-client')} '${url}'`);
    clients.push(child);
    if (child.stdout === null) throw new Error('no output');
    const lines = createInterface({ input: child.stdout });
    const first: unknown[] = await once(lines, 'line');
    return new Client(child, lines, String(first[0]));
  }

  async ask(order: string): Promise<string> {
    const answer = once(this.lines, 'line', { signal: AbortSignal.timeout(60_000) });
    this.child.stdin?.write(`${order}\n`);
    const lines: unknown[] = await answer;
    return String(lines[0]);
  }
}

async function startGanesha(): Promise<void> {
  server.start('exec ganesha.nfsd -F -L /var/log/ganesha/test.log -N EVENT -p /run/ganesha.pid');
  await until(
    'Ganesha',
    async () =>
      (
        await server.run(
          'dbus-send --system --print-reply --dest=org.ganesha.nfsd /org/ganesha/nfsd/ExportMgr org.ganesha.nfsd.exportmgr.ShowExports',
        )
      ).code === 0,
    60_000,
  );
}
const endGanesha = async (): Promise<void> => {
  await server.must(
    'kill -9 $(cat /run/ganesha.pid); while kill -0 $(cat /run/ganesha.pid) 2>/dev/null; do sleep 0.05; done; rm /run/ganesha.pid',
  );
};

beforeAll(async () => {
  server = await Enclosure.open([
    '/etc/ganesha',
    '!/run',
    '!/srv',
    '!/var/lib/nfs',
    '!/var/log/ganesha',
    '!/var/lib/vmpool-services',
  ]);
  execFileSync('gcc', [
    '-o',
    join(server.folder, 'nfs-client'),
    join(import.meta.dirname, 'nfs-client.c'),
    '-lnfs',
  ]);
  await server.must(`
    for n in 1 2 3 9; do ip addr add 10.77.0.$n/32 dev lo || exit 1; done
    mkdir -p /srv/scratch /srv/theirs /run/dbus /var/lib/nfs/ganesha && printf hello >/srv/scratch/greeting && printf other >/srv/theirs/greeting
    cat >/etc/ganesha/ganesha.conf <<END
NFS_CORE_PARAM { Protocols = 4; Enable_NLM = false; Enable_RQUOTA = false; }
NFSv4 { Graceless = true; }
EXPORT { Export_Id = 1; Path = /srv/theirs; Pseudo = /theirs; Access_Type = RO; Squash = No_Root_Squash; FSAL { Name = VFS; } }
%include /etc/ganesha/vmpool.conf
END
    : >/etc/ganesha/vmpool.conf`);
  server.start('exec dbus-daemon --system --nofork --nopidfile');
  await until(
    'D-Bus',
    async () => (await server.run('[ -S /run/dbus/system_bus_socket ]')).code === 0,
    30_000,
  );
  await server.must('rm /etc/ganesha/vmpool.conf');
  await server.must('printf "# vmpool:%s nothing yet\\n" batch-svc-files >/etc/ganesha/vmpool.conf');
  await startGanesha();
});
afterAll(async () => {
  for (const client of clients) client.kill('SIGKILL');
  await server.close();
});

describe('the file service on NFS-Ganesha', () => {
  it('lets a member read and write, and nobody else mount', async () => {
    await allow(vm(1));
    const member = await Client.mount(1);
    expect(member.mounted).toBe('ok');
    expect(await member.ask('read /greeting')).toBe('ok hello');
    expect(await member.ask('write /from-vm-1 written')).toBe('ok');
    expect(await server.must('cat /srv/scratch/from-vm-1')).toBe('written');
    expect((await Client.mount(2)).mounted).toMatch(/^error .*NOENT/);
    expect((await Client.mount(9)).mounted).toBe('ok');
    expect((await Client.mount(2, '/theirs')).mounted).toBe('ok');
  });

  it('refuses a VM that left, even on the mount that it still has, and leaves the other mounts alone', async () => {
    await allow(vm(1), vm(2));
    const leaving = await Client.mount(1);
    const staying = await Client.mount(2);
    expect(await leaving.ask('read /greeting')).toBe('ok hello');
    const pid = await server.must('cat /run/ganesha.pid');
    await allow(vm(2), vm(3));
    expect(await leaving.ask('read /greeting')).toMatch(/^error/);
    expect(await leaving.ask('write /too-late text')).toMatch(/^error/);
    expect((await Client.mount(1)).mounted).toMatch(/^error/);
    expect(await staying.ask('read /greeting')).toBe('ok hello');
    expect((await Client.mount(3)).mounted).toBe('ok');
    expect(await server.must('cat /run/ganesha.pid')).toBe(pid);
  });

  it('is refused by a second Ganesha that tries it first, and what was loaded stays', async () => {
    await allow(vm(2));
    const member = await Client.mount(2);
    const refused = await apply(
      planFor([vm(1)], { exports: [{ id: 77, path: '/srv/absent', pseudo: '/scratch' }] }),
    );
    expect(refused.code).toBe(1);
    expect(refused.words).toMatch(/refused by its checker[^]*absent/);
    expect(
      (
        await apply(
          planFor([vm(1)], {
            exports: [{ id: 77, path: '/srv/scratch', pseudo: '/scratch', parameters: { No_Such: '1' } }],
          }),
        )
      ).words,
    ).toMatch(/No_Such/);
    expect(await member.ask('read /greeting')).toBe('ok hello');
    expect((await Client.mount(1)).mounted).toMatch(/^error/);
  });

  it('says what to do where the main configuration does not include it', async () => {
    const lost = await apply(planFor([vm(2)], { file: '/etc/ganesha/elsewhere.conf' }));
    expect(lost.words).toMatch(/add the line %include "\/etc\/ganesha\/elsewhere.conf"/);
  });

  it('never takes the number of an export that is not ours', async () => {
    await allow(vm(2));
    const taken = await apply(
      planFor([vm(2), vm(3)], { exports: [{ id: 1, path: '/srv/scratch', pseudo: '/scratch' }] }),
    );
    expect(taken).toMatchObject({ code: 1, words: expect.stringContaining("export 1 is another's") });
    expect((await Client.mount(3, '/theirs')).mounted).toBe('ok');
  });

  it('goes back when Ganesha does not take it', async () => {
    await allow(vm(2));
    const taken = await apply(
      planFor([vm(2), vm(3)], { exports: [{ id: 79, path: '/srv/scratch', pseudo: '/theirs' }] }),
    );
    expect(taken).toMatchObject({
      code: 1,
      words: expect.stringContaining('the old configuration is back and loaded'),
    });
    expect((await Client.mount(2)).mounted).toBe('ok');
    expect((await Client.mount(3)).mounted).toMatch(/^error/);
    expect((await Client.mount(3, '/theirs')).mounted).toBe('ok');
  });

  it('catches up when Ganesha was down, and when an update was cut off before its reload', async () => {
    await allow(vm(1));
    await endGanesha();
    expect(await apply(planFor([vm(2)]))).toMatchObject({
      code: 1,
      words: expect.stringContaining('does not answer'),
    });
    expect(await server.must('cat /etc/ganesha/vmpool.conf')).toContain('10.77.0.1;');
    await startGanesha();
    const cut = planFor([vm(2)], { reload: cutOff });
    expect((await apply(cut)).code).not.toBe(0);
    expect((await Client.mount(2)).mounted).toMatch(/^error/);
    await allow(vm(3));
    expect((await Client.mount(3)).mounted).toBe('ok');
    for (const n of [1, 2]) expect((await Client.mount(n)).mounted).toMatch(/^error/);
  });

  it('adds and takes out exports, and with the stack everything of ours', async () => {
    const both = { exports: [...settings().exports, { id: 78, path: '/srv/scratch', pseudo: '/again' }] };
    expect(await apply(planFor([vm(1)], both))).toMatchObject({ code: 0 });
    expect((await Client.mount(1, '/again')).mounted).toBe('ok');
    await allow(vm(1));
    expect((await Client.mount(1, '/again')).mounted).toMatch(/^error/);
    expect(await server.run('sh -s remove', script(planFor([vm(1)])))).toMatchObject({ code: 0 });
    expect((await Client.mount(1)).mounted).toMatch(/^error/);
    expect((await Client.mount(1, '/theirs')).mounted).toBe('ok');
    expect((await server.run('ls /etc/ganesha /var/lib/vmpool-services')).words).not.toMatch(
      /vmpool.conf|batch/,
    );
    expect(readFileSync('/proc/self/mounts', 'utf8')).not.toContain(server.folder);
  });
});
