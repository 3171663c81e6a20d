import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { alice, Site } from './site.js';
import { leftovers, statOf } from '../../hooks/src/processes.js';

jest.setTimeout(90_000);

let site: Site;
const replace = (hook: 'prologue' | 'epilogue', text: string): string => {
  const path = site.worker.path(`/var/spool/torque/mom_priv/${hook}`);
  const before = readFileSync(path, 'utf8');
  chmodSync(path, 0o700);
  writeFileSync(path, text);
  chmodSync(path, 0o500);
  return before;
};
const liveLeases = (): string[] => site.service.liveJobs();

describe('the double calls hooks as a mom does', () => {
  beforeAll(async () => {
    site = await Site.open({ vms: 0 });
  });
  afterAll(() => site?.close());

  it('the prologue’s arguments, environment, ids, mask, directory, descriptors and session', async () => {
    replace(
      'prologue',
      `#!/bin/bash
exec > /var/spool/seen 2>&1
printf '%s\\n' "$@" | sed 's/^/arg /'
env -u SHLVL -u PWD -u _ | sed 's/^/env /' | sort
echo "ids $(id -u) $(id -g) $(id -G)"
echo "umask $(umask)"
echo "cwd $PWD"
echo "stdin $(readlink /proc/$$/fd/0)"
cd /proc/$$/fd; for f in *; do case $(readlink -n /proc/$$/fd/$f 2>/dev/null) in pipe*) [ $f -gt 2 ] && [ $f = 11 -o $f = 14 ] && echo "leaked $f";; esac; done; cd /
read -r line < /proc/$$/stat; set -- \${line##*) }; [ $4 = $$ ] && echo own session
read -r line < /proc/$PPID/stat; set -- \${line##*) }; [ $4 = $PPID ] && echo starter leads its session
exit 1
`,
    );
    const id = site.mom.submit({
      user: alice.name,
      script: 'x',
      name: 'fix',
      ppn: 2,
      workDirectory: '/home/vmpalice',
    });
    const result = await site.mom.finished(id);
    expect(result.exitStatus).toBe(-2);
    const host = readFileSync('/proc/sys/kernel/hostname', 'utf8').trim();
    expect(readFileSync(site.worker.path('/var/spool/seen'), 'utf8').trim().split('\n')).toEqual([
      ...['arg 28.server', 'arg vmpalice', 'arg vmpalice', 'arg fix'],
      ...['arg neednodes=1:ppn=2,nodect=1,nodes=1:ppn=2,walltime=01:00:00', 'arg batch', 'arg '],
      'arg /var/spool/torque/mom_priv/jobs/28.server.SC',
      ...['env LANG=C', 'env PATH=/bin:/usr/bin', `env PBS_MSHOST=${host}`],
      'env PBS_NODEFILE=/var/spool/torque/aux/28.server',
      ...['env PBS_NODENUM=0', 'env PBS_NP=2', 'env PBS_NUM_NODES=1', 'env PBS_NUM_PPN=2'],
      ...['env PBS_O_WORKDIR=/home/vmpalice', 'env PBS_RESOURCE_NODES=1:ppn=2'],
      ...['ids 0 0 0 64101 64200', 'umask 0077', 'cwd /var/spool/torque/mom_priv', 'stdin /dev/null'],
      ...['leaked 11', 'leaked 14'],
      ...['own session', 'starter leads its session'],
    ]);
  });

  it.each([
    ['exit 1', 'exit 1', -2, 1],
    ['exit 3', 'exit 3', -14, 4],
    ['kill -TERM $$; sleep 5', 'signal 15', 97, 1],
  ])('a prologue that says %s', async (line, result, exitStatus, starts) => {
    replace('prologue', `#!/bin/sh\n${line}\n`);
    writeFileSync(site.worker.path('/usr/local/lib/vmpool/jobstarter'), '#!/bin/sh\nexit 97\n', {
      mode: 0o755,
    });
    const id = site.mom.submit({ user: alice.name, script: 'x' });
    await site.mom.until(
      id,
      () => site.mom.starts(id).length >= starts && site.mom.starts(id)[0]?.over === true,
      'that',
    );
    expect(site.mom.starts(id)[0]?.result).toBe(result);
    if (starts === 1) expect((await site.mom.finished(id)).exitStatus).toBe(exitStatus);
    else await site.mom.qdel(id);
    expect(site.mom.epilogues(id)[0]?.exitStatus).toBe(String(exitStatus));
  });

  it('a prologue of the wrong mode is not run and the job requeues without end', async () => {
    chmodSync(site.worker.path('/var/spool/torque/mom_priv/prologue'), 0o522);
    const id = site.mom.submit({ user: alice.name, script: 'x' });
    await site.mom.until(id, () => site.mom.starts(id).length > 5, 'many starts');
    await site.mom.qdel(id);
    chmodSync(site.worker.path('/var/spool/torque/mom_priv/prologue'), 0o500);
  });

  it('an interactive job whose prologue fails never requeues', async () => {
    replace('prologue', '#!/bin/sh\nexit 3\n');
    const id = site.mom.submit({ user: alice.name, script: '', interactive: true });
    expect(await site.mom.finished(id)).toMatchObject({ starts: 1, state: 'complete' });
  });
});

describe('our prologue under Torque', () => {
  beforeEach(async () => {
    site = await Site.open({ vms: 2, mom: { killDelayMs: 1000, prologAlarmMs: 22_000 } });
  });
  afterEach(() => site?.close());

  it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('%s in it never counts as success', async (signal) => {
    site.service.mute = true;
    const id = site.mom.submit({ user: alice.name, script: 'echo ran' });
    await site.mom.until(id, () => site.service.calls.length > 0, 'the request');
    process.kill(site.mom.starts(id)[0]?.prologue ?? 0, signal);
    await site.mom.until(id, () => site.mom.starts(id)[0]?.result !== null, 'its end');
    expect(site.mom.starts(id)[0]?.result).toBe('exit 1');
    site.service.mute = false;
    await site.mom.finished(id);
    expect(site.mom.stdout(id).toString()).toBe('');
    expect(liveLeases()).toEqual([]);
  });

  it('killed outright: Torque runs the job, the job starter refuses it, the next start runs', async () => {
    site.service.mute = true;
    const id = site.mom.submit({ user: alice.name, script: 'echo ran' });
    await site.mom.until(id, () => site.service.calls.length > 0, 'the request');
    process.kill(site.mom.starts(id)[0]?.prologue ?? 0, 'SIGKILL');
    await site.mom.until(id, () => site.mom.starts(id)[0]?.over === true, 'the end of that start');
    expect(site.mom.starts(id)[0]).toMatchObject({ result: 'signal 9', exitStatus: 99 });
    site.service.mute = false;
    const result = await site.mom.finished(id);
    expect(result.stderr).toContain('did not come to its end');
    expect(result).toMatchObject({ exitStatus: 0, starts: 2 });
    expect(result.stdout.toString()).toBe('ran\n');
    expect(liveLeases()).toEqual([]);
  });

  it('a service that never answers: it ends by itself, before the mom would kill it', async () => {
    await site.close();
    site = await Site.open({
      vms: 0,
      mom: { prologAlarmMs: 22_000 },
      config: { prologueLimitSeconds: 9, epilogueLimitSeconds: 12 },
    });
    site.service.mute = true;
    const id = site.mom.submit({ user: alice.name, script: 'echo ran' });
    const result = await site.mom.finished(id, 40_000);
    expect(site.mom.starts(id)[0]?.result).toBe('exit 2');
    expect(result).toMatchObject({ state: 'held', starts: 1 });
  });

  it.each(['qdel', 'qrerun'] as const)(
    '%s during it: the epilogue beside it ends it, nothing runs twice',
    async (command) => {
      site.service.mute = true;
      const id = site.mom.submit({ user: alice.name, script: 'echo ran' });
      await site.mom.until(id, () => site.service.calls.length > 0, 'the request');
      site.service.mute = false;
      await site.mom[command](id);
      const result = await site.mom.finished(id);
      const { starter, prologue } = site.mom.starts(id)[0] ?? { starter: 0, prologue: 0 };
      expect(site.mom.epilogues(id)[0]).toMatchObject({ session: '0', exitStatus: '0' });
      for (const pid of [starter, prologue]) expect(statOf(pid)?.zombie ?? true).toBe(true);
      expect(result.stdout.toString()).toBe(command === 'qdel' ? '' : 'ran\n');
      expect(result.starts).toBe(command === 'qdel' ? 1 : 2);
      expect(liveLeases()).toEqual([]);
    },
  );

  it('leaves no process behind that holds the mom’s pipes', async () => {
    const id = site.mom.submit({ user: alice.name, script: 'sleep 1' });
    await site.mom.running(id);
    const { prologue } = site.mom.starts(id)[0] ?? { prologue: 0 };
    expect(() => process.kill(-prologue, 0)).toThrow();
    expect(leftovers(0, '/var/spool/vmpool')).toEqual([]);
    await site.mom.finished(id);
  });
});
