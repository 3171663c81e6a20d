import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { Guest, ScrubResult } from '../../src/guest/port.js';
import type { JobLimits, Measured } from '../../src/pool/measured.js';
import type { JobUser, LeaseId } from '../../src/pool/model.js';
import { runnerJob } from '../support/runner-job.js';
import type { Ran } from '../support/ssh.js';
import { QemuVm, type VmInit } from './qemu-vm.js';

// Software emulation: a login takes seconds. Against hanging only.
jest.setTimeout(900_000);

/** `burn`: one processor until it is ended. `hog MEBIBYTES SECONDS`: memory of its own, from its first moment on. */
const prelude = `
burn() { bash -c "while :; do :; done"; }
hog() { head -c "$1"M /dev/zero | tail | sleep "$2"; }
export -f burn hog
`;
const user: JobUser = {
  ...{ name: 'alice', uid: 4001, gid: 4001, groups: [{ name: 'alice', gid: 4001 }] },
  ...{ home: '/home/alice', shell: '/bin/bash' },
};
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
        user,
        publicKey: vm.jobKey.publicLine,
        environment: {},
      },
      patience(),
    );
    expect(done).toEqual({ ok: true });
  };
  const job = (script: string): Promise<Ran> => vm.run('bash -s', 'alice', runnerJob(`${prelude}${script}`));
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
      'cat /proc/$$/cgroup; timeout 3 bash -c burn; hog 100 2; (setsid timeout 2 bash -c burn &); sleep 3; exit 3',
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
    // Two that are below it alone, and have all of it before the meter could have looked for them.
    await job('hog 60 60 & (setsid bash -c "hog 60 60" &) ; wait');
    expect(await told('pgrep -u alice -x "tail|sleep" | wc -l')).toBe('0');
    expect(await told('cat /run/vmpool/usage')).toMatch(/over=memory resource=mem .*by=cgroup/);
    const used = await measured();
    expect(used.over).toMatchObject({ limit: 'mem', most: 80 * mib });
    expect(used.memoryBytes).toBeGreaterThan(60 * mib);
    expect(used.memoryBytes).toBeLessThanOrEqual(80 * mib);
  });

  it('is ended beyond its processor time, with what went into a session of its own', async () => {
    await begin({ cput: 3 });
    const ran = await job('(setsid bash -c burn &); burn');
    expect(ran.code).toBeGreaterThan(128);
    await vm.run(
      'for ((i = 0; i < 100; i++)); do pgrep -u alice -x bash >/dev/null || break; sleep 0.1; done',
    );
    expect(await told('pgrep -u alice -x bash | wc -l')).toBe('0');
    const used = await measured();
    expect(used.over).toMatchObject({ limit: 'cput', most: 3 });
    expect(used.cpuSeconds).toBeLessThan(30);
  });

  it('counts what is born in the group once', async () => {
    await begin();
    // Whoever says that it begins is looked for, and all others with it.
    const script = `
      for n in 1 2 3; do while :; do :; done & done; sleep 5; echo "begin $$" 1<>/run/vmpool/say
      sleep 2; kill $(jobs -p); wait
      read -r line </proc/$$/stat; set -- \${line##*) }
      echo "used $((\${12} + \${13} + \${14} + \${15}))"`;
    const own = Number(/^used (\d+)$/m.exec((await job(script)).out)?.[1]) / 100;
    expect(own).toBeGreaterThan(3);
    const used = await measured();
    expect(used.cpuSeconds).toBeGreaterThan(own - 0.5);
    expect(used.cpuSeconds).toBeLessThan(own + 1.5);
  });

  it('is that of what never told of itself, too', async () => {
    await begin();
    // What nobody told of is in the group when a look has found it.
    const untold = `${prelude}
      for ((i = 0; i < 200; i++)); do grep -q vmpool "/proc/$$/cgroup" && break; sleep 0.5; done
      timeout 3 bash -c burn`;
    expect((await vm.run('bash -s', 'alice', untold)).code).toBe(124);
    const used = await measured();
    expect(used).toMatchObject({ begun: false, code: null, over: null });
    expect(used.cpuSeconds).toBeGreaterThan(1.5);
  });

  if (init === 'systemd')
    it('leaves nothing of what the user had systemd keep, however long that wants to stop', async () => {
      const uid = String(user.uid);
      await begin();
      const ran = await job(`
        exec 2>&1
        export XDG_RUNTIME_DIR=/run/user/${uid}
        mkdir -p ~/.config/systemd/user && cd ~/.config/systemd/user
        printf '%s\n' '[Service]' 'ExecStart=/bin/bash -c "trap : TERM; while :; do sleep 1; done"' Restart=always \
          TimeoutStopSec=infinity '[Install]' WantedBy=default.target > stubborn.service
        systemctl --user enable --now stubborn.service
        systemd-run --user --unit=stay sleep 1000
        systemd-run --user --unit=again --on-active=1 --on-unit-active=1 sleep 0.5
        systemctl --user is-active stubborn.service stay.service again.timer`);
      expect(ran.out).toMatch(/\nactive\nactive\nactive\n$/);
      // A user of images whose policy allows it does this for themselves.
      await told('loginctl enable-linger alice');
      const left = (): Promise<string> =>
        told(`systemctl list-units --all --plain --no-legend '*${uid}*' | cut -d ' ' -f 1
          ls /var/lib/systemd/linger; loginctl list-users --no-legend | grep -o alice; pgrep -l -u ${uid}
          ls -d /run/user/${uid} /run/systemd/users/${uid} /sys/fs/cgroup/user.slice/user-${uid}.slice 2>/dev/null`);
      const there = await left();
      const unit = `user@${uid}.service`;
      for (const trace of [unit, `user-${uid}.slice`, 'alice', 'systemd', 'sleep', `/run/user/${uid}`])
        expect(there).toContain(trace);
      expect(await scrub()).toMatchObject({ ok: true });
      // Units of which nothing is left are unloaded in a moment of systemd's own.
      for (let n = 0; n < 30 && (await left()) !== ''; n += 1) await vm.run('sleep 1');
      expect(await left()).toBe('');
      // Neither was it waited for: systemd gives a manager two minutes.
      const story = await told(`journalctl --no-pager -o cat -u ${unit}`);
      expect(story).toContain("Failed with result 'signal'");
      expect(story).not.toContain('timed out');
    });
});
