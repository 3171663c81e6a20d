import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { Guest, ScrubResult } from '../../src/guest/port.js';
import { shellWord } from '../../src/guest/quote.js';
import type { JobLimits, Measured } from '../../src/pool/measured.js';
import type { LeaseId } from '../../src/pool/model.js';
import type { Ran } from '../support/ssh.js';
import { QemuVm, type VmInit } from './qemu-vm.js';

// Software emulation: a login takes seconds. Against hanging only.
jest.setTimeout(900_000);

/** `burn`: one processor until it is ended. `hog MEBIBYTES SECONDS`: memory of its own. And what the hooks' runner tells. */
const prelude = `
burn() { bash -c "while :; do :; done"; }
hog() { head -c "$1"M /dev/zero | tail | sleep "$2"; }
# The meter takes the job's processes into the group as it hears of them, or finds them.
grouped() { for ((i = 0; i < 200; i++)); do grep -q vmpool "/proc/$$/cgroup" && break; sleep 0.5; done; }
export -f burn hog grouped
tell() { echo "$*" 1<>/run/vmpool/say; }
for ((i = 0; i < 300; i++)); do [ -p /run/vmpool/say ] && break; sleep 0.1; done
tell begin $$
trap : TERM
`;
const postlude = `
code=$?
tell end $$ $code job
for ((i = 0; i < 300; i++)); do grep -q "answered=$$ " /run/vmpool/usage && break; sleep 0.1; done
exit $code
`;
const mib = 2 ** 20;
const groupOf: Readonly<Record<VmInit, string>> = {
  systemd: '/sys/fs/cgroup/system.slice/vmpool-meter.service',
  plain: '/sys/fs/cgroup/vmpool',
};

describe.each(['systemd', 'plain'] as const)('what a job used, by the cgroup of a VM with %s', (init) => {
  const group = groupOf[init];
  let vm: QemuVm;
  let guest: Guest;
  let number = 0;
  let lease = '' as LeaseId;
  let staged = false;
  beforeAll(async () => {
    vm = await QemuVm.boot(init);
    guest = vm.guest();
    expect(await guest.takeBaseline(vm.target, patience())).toEqual({ ok: true });
  });
  afterAll(() => vm?.end());

  const patience = (): AbortSignal => new AbortController().signal;
  const begin = async (limits: JobLimits = {}): Promise<void> => {
    number += 1;
    lease = `lease-${String(number)}` as LeaseId;
    staged = true;
    const done = await guest.stage(
      vm.target,
      {
        lease,
        limits,
        key: { worker: 'wn1', job: '12.server', attempt: { start: 1, boot: 'b', pid: 100, ticks: 5 } },
        user: {
          ...{ name: 'alice', uid: 4001, gid: 4001, groups: [{ name: 'alice', gid: 4001 }] },
          ...{ home: '/home/alice', shell: '/bin/bash' },
        },
        publicKey: vm.jobKey.publicLine,
        environment: {},
      },
      patience(),
    );
    expect(done).toEqual({ ok: true });
  };
  const job = (script: string): Promise<Ran> =>
    vm.run('bash -s', 'alice', `${prelude}bash -c ${shellWord(script)}${postlude}`);
  const scrub = async (): Promise<ScrubResult> => {
    const result = await guest.scrub(vm.target, lease, patience());
    if (result.ok) staged = false;
    return result;
  };
  const measured = async (): Promise<Measured> => {
    const result = await scrub();
    expect(result).toMatchObject({ ok: true });
    if (!result.measured) throw new Error('nothing was measured');
    return result.measured;
  };
  const told = async (command: string): Promise<string> => (await vm.run(command)).out.trim();
  afterEach(async () => {
    if (staged) await scrub();
  });

  it('is counted by the kernel, in a group of its own that is gone after the scrub', async () => {
    await begin({ mem: 400 * mib });
    const ran = await job(
      'grouped; cat /proc/$$/cgroup; timeout 3 bash -c burn; hog 100 2; (setsid timeout 2 bash -c burn &); sleep 3; exit 3',
    );
    expect(ran).toMatchObject({ code: 3 });
    expect(ran.out).toContain(`${group.replace('/sys/fs/cgroup', '')}/job`);
    expect(
      await told(`cat ${group}/job/memory.max ${group}/job/memory.swap.max; cat ${group}/pids.max`),
    ).toMatch(new RegExp(`^${String(400 * mib)}\\n0(\\nmax|\\ncat:.*)$`));
    expect(await told('cat /run/vmpool/usage')).toContain(' by=cgroup ');
    const used = await measured();
    expect(used).toMatchObject({ begun: true, code: 3, over: null });
    expect(used.cpuSeconds).toBeGreaterThan(4);
    expect(used.cpuSeconds).toBeLessThan(30);
    expect(used.memoryBytes).toBeGreaterThan(100 * mib);
    expect(used.memoryBytes).toBeLessThan(400 * mib);
    expect(await told(`ls -d ${group}`)).toContain('No such file');
  });

  it('is ended by the kernel beyond its memory, all of it, and the meter lives on', async () => {
    await begin({ mem: 80 * mib });
    // Two that are below it alone.
    await job('grouped; hog 60 60 & (setsid bash -c "hog 60 60" &) ; wait');
    expect(await told('pgrep -u alice -x "tail|sleep" | wc -l')).toBe('0');
    expect(await told('cat /run/vmpool/usage')).toMatch(/over=memory resource=mem .*by=cgroup/);
    const used = await measured();
    expect(used.over).toMatchObject({ limit: 'mem', most: 80 * mib });
    expect(used.memoryBytes).toBeGreaterThan(60 * mib);
    expect(used.memoryBytes).toBeLessThanOrEqual(80 * mib);
  });

  it('is ended beyond its processor time, with what went into a session of its own', async () => {
    await begin({ cput: 3 });
    const ran = await job('grouped; (setsid bash -c burn &); burn');
    expect(ran.code).toBeGreaterThan(128);
    await vm.run(
      'for ((i = 0; i < 100; i++)); do pgrep -u alice -x bash >/dev/null || break; sleep 0.1; done',
    );
    expect(await told('pgrep -u alice -x bash | wc -l')).toBe('0');
    const used = await measured();
    expect(used.over).toMatchObject({ limit: 'cput', most: 3 });
    expect(used.cpuSeconds).toBeLessThan(30);
  });

  it('is that of what never told of itself, too', async () => {
    await begin();
    const untold = `${prelude.split('tell begin')[0] ?? ''}grouped; timeout 3 bash -c burn`;
    expect((await vm.run('bash -s', 'alice', untold)).code).toBe(124);
    const used = await measured();
    expect(used).toMatchObject({ begun: false, code: null, over: null });
    expect(used.cpuSeconds).toBeGreaterThan(1.5);
  });
});
