import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { Guest, ScrubResult } from '../../src/guest/port.js';
import type { JobLimits, Measured } from '../../src/pool/measured.js';
import type { LeaseId } from '../../src/pool/model.js';
import { runnerJob } from '../support/runner-job.js';
import { Lab, type Machine, orderFor, patience } from './machine.js';

jest.setTimeout(90_000);

let lab: Lab;
let machine: Machine;
let guest: Guest;
beforeAll(async () => {
  lab = await Lab.open();
  machine = await lab.machine();
  guest = lab.guest();
  expect(await guest.takeBaseline(machine.target, patience())).toEqual({ ok: true });
});
afterAll(() => lab.close());

/** What jobs do here: `burn SECONDS` of one processor, `hog MEBIBYTES SECONDS`, which never takes more than 400. */
const prelude = `
burn() { node -e "while (process.cpuUsage().user + process.cpuUsage().system < $1 * 1e6);"; }
hog() { node -e "const held = []; for (let n = 0; n < Math.min(400, $1); n += 10) held.push(Buffer.alloc(10485760, 1)); setTimeout(() => process.exit(0), $2 * 1000)"; }
export -f burn hog
`;
const asAlice = (script: string): ReturnType<Machine['run']> =>
  machine.run('bash -s', { user: 'alice', key: 'job' }, Buffer.from(script));
const run = (script: string): ReturnType<Machine['run']> => asAlice(runnerJob(`${prelude}${script}`));

let number = 0;
let lease = '' as LeaseId;
const begin = async (limits: JobLimits = {}): Promise<void> => {
  number += 1;
  const order = { ...orderFor(`lease-${String(number)}`), limits };
  lease = order.lease;
  expect(await guest.stage(machine.target, order, patience())).toEqual({ ok: true });
};
const scrub = async (): Promise<ScrubResult> => guest.scrub(machine.target, lease, patience());
const measured = async (): Promise<Measured> => {
  const result = await scrub();
  expect(result).toMatchObject({ ok: true });
  if (!result.measured) throw new Error('nothing was measured');
  return result.measured;
};
afterEach(async () => {
  await scrub();
});

describe('what a job used on its VM', () => {
  it('is processor time, memory, wall time and exit code, children and orphans included', async () => {
    await begin();
    // Nobody waits for the orphan, which is still there when the meter looks, at the latest when the job ends.
    const job =
      '(setsid bash -c "burn 4; touch ~/burnt; sleep 60" </dev/null >/dev/null 2>&1 &); burn 1 & hog 150 5; wait; until [ -e ~/burnt ]; do sleep 0.1; done; exit 3';
    expect((await run(job)).code).toBe(3);
    const used = await measured();
    expect(used).toMatchObject({ begun: true, code: 3, told: false, over: null });
    expect(used.cpuSeconds).toBeGreaterThan(1 + 4 - 0.5);
    expect(used.cpuSeconds).toBeLessThan(9);
    expect(used.memoryBytes).toBeGreaterThan(150 * 2 ** 20);
    expect(used.memoryBytes).toBeLessThan(500 * 2 ** 20);
    expect(used.wallSeconds).toBeGreaterThan(4.9);
  });

  it('is told also where nobody told of begin and end, and by the scrub that follows one that was cut', async () => {
    await begin();
    await machine.asJob('sleep 3');
    const order = lease;
    const used = await measured();
    expect(used).toMatchObject({ begun: false, code: null, over: null });
    expect(used.memoryBytes).toBeGreaterThan(0);
    expect(await guest.scrub(machine.target, order, patience())).toEqual({ ok: true, measured: used });
  });

  it('begins with the job, though only its end was heard', async () => {
    await begin();
    const untold = 'sleep 3; echo "end $$ 4 job" 1<>/run/vmpool/say; sleep 1';
    await asAlice(untold);
    const used = await measured();
    expect(used).toMatchObject({ begun: true, code: 4 });
    expect(used.wallSeconds).toBeGreaterThan(2.9);
    expect(used.wallSeconds).toBeLessThan(30);
  });

  it('is waited for by a job that comes before the meter, and whose begin it hears in the end', async () => {
    await begin();
    // A meter that comes late, as on a machine that has much else to do.
    await machine.run(
      'kill -9 $(cat /run/vmpool/pid); rm /run/vmpool/usage /run/vmpool/pid; (sleep 4; exec setsid bash /run/vmpool/meter 4001 4001 0 0 0 0 0 0) </dev/null >/dev/null 2>&1 &',
    );
    const ran = await run('read -r line </run/vmpool/usage; echo "$line"');
    expect(ran.out).toMatch(/^v1 .* begun=1 /);
    expect(await measured()).toMatchObject({ begun: true, code: 0 });
  });

  it('knows of the end that was told to a busy meter before the scrub ended it', async () => {
    await begin();
    const looking = 'for ((i = 0; i < 50; i++)); do [ -s /run/vmpool/usage ] && break; sleep 0.1; done';
    await machine.run(`${looking}; kill -STOP $(cat /run/vmpool/pid)`);
    await asAlice(
      'for i in {1..40}; do echo "begin $$" 1<>/run/vmpool/say; done; echo "end $$ 4 job" 1<>/run/vmpool/say',
    );
    await machine.run('(sleep 1; kill -CONT $(cat /run/vmpool/pid)) </dev/null >/dev/null 2>&1 &');
    expect(await measured()).toMatchObject({ begun: true, code: 4 });
  });

  it('knows of an end whose line was cut by a look', async () => {
    await begin();
    await asAlice('printf "end $$ 4 " 1<>/run/vmpool/say; sleep 1.3; echo job 1<>/run/vmpool/say; sleep 0.5');
    expect(await measured()).toMatchObject({ begun: true, code: 4 });
  });

  it('knows of an end that was told in the moment before the scrub', async () => {
    await begin();
    await machine.run(
      'setpriv --reuid 4001 --regid 4001 --clear-groups sleep 30 </dev/null >/dev/null 2>&1 & p=$!; sleep 1.5; m=$(cat /run/vmpool/pid); echo "end $p 4 job" 1<>/run/vmpool/say; kill -TERM $m; kill $p',
    );
    expect(await measured()).toMatchObject({ begun: true, code: 4 });
  });

  it('calculates nothing that a job says, however much that is', async () => {
    await begin();
    const { out } = await asAlice(
      `w=$(printf '%300s0,BASH_VERSINFO[$(id>/run/taken)]'); for n in 1 2 3 4; do for i in {1..110}; do echo x; done 1<>/run/vmpool/say; timeout 1 bash -c 'while :; do printf "%s\n" "$0"; done' "$w" 1<>/run/vmpool/say; done; ls /run/taken 2>/dev/null; sleep 1; kill -0 $(cat /run/vmpool/pid) 2>&1 | grep -c permitted`,
    );
    expect(out).toBe('1\n');
    // Nor is a line waited for that has no end.
    await asAlice(`(yes | tr -d '\n' >/run/vmpool/say) </dev/null >/dev/null 2>&1 & sleep 1`);
    expect(await measured()).toMatchObject({ begun: false, code: null });
  });

  it('survives tasks that are gone as soon as they have told of their end', async () => {
    await begin();
    const { out } = await asAlice(
      `for i in {1..300}; do bash -c 'echo "end $$ 0 task" 1<>/run/vmpool/say'; [ $((i % 40)) != 0 ] || sleep 1; done; for i in {1..60}; do echo "end $$ 0 task" 1<>/run/vmpool/say; sleep 0.5; [[ $(</run/vmpool/usage) == *"answered=$$ "* ]] && break; done; echo "end $$ 4 job" 1<>/run/vmpool/say; sleep 1; kill -0 $(cat /run/vmpool/pid) 2>&1 | grep -c permitted`,
    );
    expect(out).toBe('1\n');
    expect(await measured()).toMatchObject({ begun: true, code: 4 });
  });

  it('is nothing that a job is kept from running for', async () => {
    await begin();
    await machine.run(
      'for ((i = 0; i < 50; i++)); do [ -s /run/vmpool/usage ] && break; sleep 0.1; done; kill -9 $(cat /run/vmpool/pid); rm /run/vmpool/usage',
    );
    expect(await run('echo ran')).toEqual({ code: 0, out: 'ran\n' });
    expect(await scrub()).toEqual({ ok: true, measured: null });
  });

  it('is told by a probe while the job runs, and no more when the meter has died', async () => {
    await begin();
    const seen = async (): Promise<unknown> => guest.probe(machine.target, patience());
    expect(await seen()).toMatchObject({ ok: true, marker: { lease } });
    const running = run('burn 3; sleep 30');
    for (
      let n = 0;
      n < 100 && !/ cpu=[2-9]\d\d /.test((await machine.run('cat /run/vmpool/usage')).out);
      n += 1
    );
    const probe = await guest.probe(machine.target, patience());
    if (!probe.ok) throw new Error(probe.why);
    expect(probe.measured).toMatchObject({ begun: true, code: null, over: null });
    expect(probe.measured?.cpuSeconds).toBeGreaterThanOrEqual(2);
    expect(probe.measured?.wallSeconds).toBeGreaterThan(1.5);
    await machine.run(
      'p=$(cat /run/vmpool/pid); kill -9 $p; for ((i = 0; i < 600; i++)); do [ -d /proc/$p ] || break; sleep 0.05; done',
    );
    expect(await seen()).toMatchObject({ ok: true, marker: { lease }, measured: null });
    // What a job that became root may leave in its place holds up no probe.
    await machine.run('rm /run/vmpool/usage; mkfifo /run/vmpool/usage; echo $$ > /run/vmpool/pid');
    expect(await seen()).toMatchObject({ ok: true, marker: { lease }, measured: null });
    await machine.run('rm /run/vmpool/usage');
    expect((await scrub()).ok).toBe(true);
    await running;
  });

  it('is asked for before a VM goes without a scrub, for its own lease only', async () => {
    await begin();
    expect((await run('exit 0')).code).toBe(0);
    expect(await guest.measure(machine.target, 'lease-0' as LeaseId, patience())).toBeNull();
    const used = await guest.measure(machine.target, lease, patience());
    expect(used).toMatchObject({ begun: true, code: 0 });
    expect(await guest.measure(machine.target, lease, patience())).toEqual(used);
  });

  it.each([
    ['asked for before a VM goes', () => guest.measure(machine.target, lease, patience())],
    ['told by the scrub', measured],
  ])('is %s as soon as it is staged, though the meter comes late', async (_, ask) => {
    await begin();
    await machine.run(
      `for ((i = 0; i < 50; i++)); do [ -s /run/vmpool/pid ] && break; sleep 0.1; done; kill -9 $(cat /run/vmpool/pid); rm -f /run/vmpool/usage /run/vmpool/pid
      (sleep 1; exec setsid bash /run/vmpool/meter 4001 4001 0 0 0 0 0 0) </dev/null >/dev/null 2>&1 &`,
    );
    expect(await ask()).toMatchObject({ begun: false, code: null });
    expect((await machine.run('pgrep -f /run/vmpool/meter')).out).toBe('');
  });

  it('cannot be written by the job', async () => {
    await begin();
    const { out } = await machine.asJob(
      'for f in /run/vmpool/*; do [ "$f" = /run/vmpool/say ] || { : >"$f"; } 2>/dev/null && [ ! -p "$f" ] && echo "wrote $f"; done; rm -rf /run/vmpool 2>/dev/null; mkdir /run/vmpool/x 2>/dev/null && echo made; for w in stop "begin 1" "end 1 0 job" "begin x" "end" "end 1 \\; x"; do echo "$w" 1<>/run/vmpool/say; done; head -c 200000 /dev/zero | timeout 1 cat >/run/vmpool/say; sleep 2; kill -9 $(cat /run/vmpool/pid) 2>/dev/null && echo killed; ls /run/vmpool',
    );
    expect(out.split('\n').sort()).toEqual(
      ['', 'limits', 'meter', 'meter.lock', 'pid', 'say', 'usage'].sort(),
    );
    expect(await measured()).toMatchObject({ begun: false, code: null });
  });

  it('ends with the code of a signal', async () => {
    await begin();
    expect((await run('kill -KILL $$')).code).toBe(137);
    expect(await measured()).toMatchObject({ code: 137, over: null, told: false });
  });
});

describe('limits of a job', () => {
  const ps = 'pgrep -u alice -c node';
  it('on its processor time end it, with what escaped into a session of its own', async () => {
    await begin({ cput: 2 });
    const ran = await run('(setsid bash -c "burn 60" &); burn 60');
    expect(ran.code).toBeGreaterThan(128);
    expect((await machine.run(`sleep 1; ${ps}`)).out.trim()).toBe('0');
    const used = await measured();
    expect(used.over).toMatchObject({ limit: 'cput', most: 2 });
    expect(used.cpuSeconds).toBeLessThan(20);
  });

  it('on its processor time end it when it will not be told', async () => {
    await begin({ cput: 1 });
    const ran = await run('trap "" TERM; burn 60; burn 60');
    expect(ran.code).toBe(137);
    expect((await measured()).over).toMatchObject({ limit: 'cput', most: 1 });
  });

  it('on its memory end it', async () => {
    await begin({ mem: 100 * 2 ** 20 });
    expect((await run('hog 60 20 & hog 60 20 & wait -n')).code).toBe(137);
    const used = await measured();
    expect(used.over).toMatchObject({ limit: 'mem', most: 100 * 2 ** 20 });
    expect(used.over?.value).toBeGreaterThan(100 * 2 ** 20);
  });

  it('on the memory of one process leave two smaller ones alone', async () => {
    await begin({ pmem: 200 * 2 ** 20 });
    expect((await run('hog 60 2 & hog 60 2 & wait')).code).toBe(0);
    expect((await run('hog 300 20')).code).toBe(137);
    expect((await measured()).over).toMatchObject({ limit: 'pmem' });
  });
});
