import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { Guest } from '../../src/guest/port.js';
import type { LeaseId } from '../../src/pool/model.js';
import { Lab, type Machine, orderFor, patience } from './machine.js';

jest.setTimeout(120_000);

let lab: Lab;
let machine: Machine;
let guest: Guest;
let count = 0;
beforeAll(async () => {
  lab = await Lab.open();
  machine = await lab.machine();
  // A file system of a type that is not local, as a shared home would be, mounted by the image.
  const mounted = await machine.run(
    'mkdir -p /var/lib/systemd/linger && mkdir /shared /srv/app && mount -t hugetlbfs none /shared && mkdir /shared/bob && chown 4002:4002 /shared/bob && echo ok',
  );
  expect(mounted.out).toBe('ok\n');
  guest = lab.guest();
  expect(await guest.takeBaseline(machine.target, patience())).toEqual({ ok: true });
});
afterAll(() => lab.close());

/** Stages a lease, lets root and the job plant things, and scrubs; what is left must be the baseline. */
async function scrubbedAfter(asRoot: string, asJob: string): Promise<void> {
  const lease = `clean-${++count}`;
  expect(await guest.stage(machine.target, orderFor(lease), patience())).toEqual({ ok: true });
  for (const [who, script] of [
    ['job', asJob],
    ['root', asRoot],
  ] as const) {
    if (script === '') continue;
    const ran = who === 'job' ? await machine.asJob(script) : await machine.run(script);
    expect(ran).toEqual({ code: 0, out: expect.any(String) });
  }
  expect(await guest.scrub(machine.target, lease as LeaseId, patience())).toMatchObject({ ok: true });
}

const daemon = (marker: string): string =>
  `(setsid bash -c 'trap "" TERM HUP INT; (trap "" TERM HUP; exec -a ${marker} sleep 4242) & wait' >/dev/null 2>&1 </dev/null &)`;

describe('the scrub removes what a job leaves', () => {
  it('ends daemons that ignore signals, of the job and of root', async () => {
    await scrubbedAfter(daemon('planted-by-root'), `${daemon('planted-by-job')}; ${daemon('another')}`);
    expect(
      (await machine.run("cat /proc/[0-9]*/cmdline 2>/dev/null | grep -c '[p]lanted-by'; true")).out,
    ).toBe('0\n');
  });

  it('ends what goes on in other threads after its first one has ended, which looks like a zombie', async () => {
    const source =
      'int pthread_create(unsigned long *, void *, void *(*)(void *), void *); void pthread_exit(void *); unsigned sleep(unsigned);' +
      'void *other(void *p) { for (;;) sleep(60); } int main(void) { unsigned long t; pthread_create(&t, 0, other, 0); pthread_exit(0); }';
    const hidden = (name: string): string =>
      `cd /tmp && echo '${source}' | gcc -w -x c -o ${name} - -pthread && (setsid ./${name} >/dev/null 2>&1 </dev/null &) &&
       sleep 0.5 && rm ${name} && grep -q '^State:.Z' /proc/$(pgrep -x ${name})/status`;
    await scrubbedAfter(hidden('of-root'), hidden('of-job'));
    expect((await machine.run("ps -eLo comm | grep -cE '^of-(root|job)'; true")).out).toBe('0\n');
  });

  it('ends a job that forks faster than it is killed', async () => {
    await scrubbedAfter(
      '',
      "(setsid bash -c 'f() { sleep 0.05; f & f & }; ulimit -u 150; f; wait' >/dev/null 2>&1 </dev/null &); sleep 0.5",
    );
  });

  it('removes cron and at entries, mail and linger files', async () => {
    await scrubbedAfter(
      `mkdir -p /var/spool/cron/crontabs && echo '* * * * * true' > /var/spool/cron/crontabs/alice && chown alice /var/spool/cron/crontabs/alice
       echo true > /var/spool/cron/atjobs/a0001 && chown alice /var/spool/cron/atjobs/a0001
       echo mail > /var/mail/alice; : > /var/lib/systemd/linger/alice`,
      '',
    );
    const left = await machine.run('find /var/spool/cron /var/mail /var/lib/systemd/linger -type f');
    expect(left).toEqual({ code: 0, out: '' });
  });

  it('removes shared memory, semaphores, message queues', async () => {
    await scrubbedAfter('', 'ipcmk -M 4096 && ipcmk -S 2 && ipcmk -Q && touch /dev/shm/seg /dev/mqueue/mine');
    expect((await machine.run('cat /proc/sysvipc/shm /proc/sysvipc/sem /proc/sysvipc/msg | wc -l')).out).toBe(
      '3\n',
    );
  });

  it('removes files of hostile names, deep trees and great numbers', async () => {
    await scrubbedAfter(
      '',
      `cd ~ && for where in . /tmp /var/tmp /dev/shm "$TMPDIR"; do
         touch -- "$where/-rf" "$where/"$'new\\nline' "$where/"$'q\\'"uo te' "$where/"'$(reboot)' "$where/"$'\\xff\\xfe' "$where/ "; done
       for i in $(seq 100); do mkdir -p "deep-$i/d" && cd "deep-$i/d" || exit 1; done; touch bottom; cd ~
       mkdir many && cd many && seq 20000 | xargs touch; mkdir -m 000 ~/locked; mkdir -m 000 /tmp/locked`,
    );
    expect((await machine.run('ls -A /tmp /var/tmp /dev/shm /home')).out).not.toMatch(
      /rf|line|deep|locked|alice/,
    );
  });

  it('removes files of the job from wherever it could write', async () => {
    await scrubbedAfter(
      `for place in /srv/app /usr/local/lib /var/lib /etc /run; do
         mkdir "$place/of-job" && touch "$place/of-job/by-root" "$place/"$'of\\njob' && chown -h alice "$place/of-job" "$place/"$'of\\njob'; done
       touch /srv/app/of-group && chgrp physics /srv/app/of-group`,
      '',
    );
  });

  it('follows no link out of the home', async () => {
    await scrubbedAfter(
      '',
      'ln -s /etc ~/etc; ln -s / ~/root; ln -s /etc /tmp/etc; rmdir "$TMPDIR" 2>/dev/null; ln -sfn /etc /tmp/vmpool-clean-x',
    );
    expect((await machine.run('test -s /etc/passwd && test -d /etc/ssh')).code).toBe(0);
  });

  it('unmounts what was mounted during the job and deletes nothing below it', async () => {
    await scrubbedAfter(
      `mkdir ~alice/etc ~alice/ram /srv/app/mnt && mount --bind /etc ~alice/etc && mount -t tmpfs none ~alice/ram && touch ~alice/ram/f &&
       mount -t tmpfs none /tmp && touch /tmp/hidden && mount --bind /etc ~alice/ram && chown alice /srv/app/mnt && mount --bind /usr/share /srv/app/mnt`,
      '',
    );
    expect(
      (await machine.run('test -s /etc/passwd && test -d /etc/ssh && test -d /usr/share/common-licenses'))
        .code,
    ).toBe(0);
  });

  it('leaves a home alone that is not on a local file system', async () => {
    const order = orderFor('shared', {
      name: 'bob',
      uid: 4002,
      gid: 4002,
      groups: [{ name: 'bob', gid: 4002 }],
      home: '/shared/bob',
    });
    expect(await guest.stage(machine.target, order, patience())).toEqual({ ok: true });
    expect((await machine.asJob('mkdir ~/results; touch ~/data', 'bob')).code).toBe(0);
    expect(await guest.scrub(machine.target, 'shared' as LeaseId, patience())).toMatchObject({ ok: true });
    expect((await machine.run('ls -A /shared/bob')).out).toBe('data\nresults\n');
    const absent = await guest.stage(
      machine.target,
      orderFor('shared-2', { home: '/shared/nobody-here' }),
      patience(),
    );
    expect(absent).toMatchObject({
      ok: false,
      kind: 'refused',
      why: expect.stringContaining('/shared/nobody-here'),
    });
  });

  it('frees a disk that the job has filled', async () => {
    await scrubbedAfter('', 'head -c 1G /dev/zero > ~/big 2>/dev/null; ! echo more > /tmp/more 2>/dev/null');
  });

  it('ends the scrub of a lease whose stage was cut anywhere', async () => {
    for (let cutAfterMs = 0; cutAfterMs <= 120; cutAfterMs += 12) {
      const lease = `cut-${cutAfterMs}`;
      const cut = new AbortController();
      const timer = setTimeout(() => cut.abort(), cutAfterMs);
      await guest.stage(machine.target, orderFor(lease), cut.signal);
      clearTimeout(timer);
      if (cutAfterMs % 24 === 0) {
        expect(await guest.stage(machine.target, orderFor(lease), patience())).toEqual({ ok: true });
        expect((await machine.asJob('touch ~/here "$HOME/.bashrc" && id -Gn')).out).toBe('alice physics\n');
      }
      expect(await guest.scrub(machine.target, lease as LeaseId, patience())).toMatchObject({ ok: true });
    }
  });
});
