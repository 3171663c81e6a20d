import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runner, signalScript } from '../../../hooks/src/remote/runner.js';

/** The program that runs on the VM, here, with a meter that has answered already. */
describe('the runner', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'vmpool-runner-'));
    mkdirSync(join(folder, 'task'));
    mkdirSync(join(folder, 'meter'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const run = (
    script: string,
    prints: boolean,
    files: { readonly usage?: string; readonly limits?: string } = {},
  ): { code: number | null; stdout: string; stderr: string } => {
    const path = (name: string): string => join(folder, name);
    writeFileSync(path('task/arguments'), `/bin/bash\0-c\0${script}\0`);
    writeFileSync(path('task/environment'), 'PATH=/usr/bin:/bin\0PBS_NUM_PPN=2\0');
    writeFileSync(path('task/home'), '/');
    if (!existsSync(path('meter/say'))) writeFileSync(path('meter/say'), '');
    for (const name of ['usage', 'limits']) rmSync(path(`meter/${name}`), { force: true });
    for (const [name, text] of Object.entries(files)) writeFileSync(path(`meter/${name}`), text);
    writeFileSync(path('runner'), runner.replaceAll('/run/vmpool', path('meter')));
    // In a session of its own, as sshd gives it one: signals go to all of a session.
    const command = ['--wait', '/bin/bash', path('runner'), path('task'), '022', 'job', prints ? '1' : '0'];
    const ran = spawnSync('setsid', command, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    return { code: ran.status, stdout: ran.stdout, stderr: ran.stderr };
  };
  const usage = (more: string): string =>
    `v1 cpu=12345 memory=1048577 wall=10000 begun=1 code=- told=0 ${more} by=sampler answered=- end\n`;
  const within = usage('over=none resource=- value=0 limit=0');

  it('keeps output and exit code, and tells of begin and end', () => {
    expect(run('echo out; echo err >&2; exit 7', false)).toEqual({
      code: 7,
      stdout: 'out\n',
      stderr: 'err\n',
    });
    expect(readFileSync(join(folder, 'task/end'), 'utf8')).toBe('7\n');
    expect(readFileSync(join(folder, 'meter/say'), 'utf8')).toMatch(/^end \d+ 7 job\n/);
  });

  it('prints what was used at the end, where that is wished and known', () => {
    const { code, stdout } = run('echo out; exit 3', true, { usage: within });
    expect({ code, lines: stdout.split('\n').map((line) => line.replace(/ on .*/, '')) }).toEqual({
      code: 3,
      lines: [
        ...['out', '', 'vmpool: resources used by this job', '  CPU time   123.45 s (61 % of 2 processors)'],
        ...['  wall time  100.00 s', '  memory     2 MiB at most', '  exit code  3', ''],
      ],
    });
    expect(run('echo out', true)).toEqual({ code: 0, stdout: 'out\n', stderr: '' });
    expect(run('echo out', false, { usage: within }).stdout).toBe('out\n');
  });

  it.each([
    ['over=memory resource=pmem value=1048577 limit=1048576', 'pmem 2 MiB exceeded limit 1 MiB'],
    ['over=cput resource=cput value=1234 limit=1200', 'cput 12.34 s exceeded limit 12.00 s'],
  ])('tells for which limit the job was ended: %s', (over, text) => {
    expect(run('kill -9 $$', false, { usage: usage(over) })).toMatchObject({
      ...{ code: 137, stdout: '' },
      stderr: expect.stringContaining(`vmpool: job killed: ${text}\n`),
    });
  });

  it('gives each process its own limits, and none where there are none', () => {
    expect(run('ulimit -v; ulimit -t', false, { limits: '500000 90\n' }).stdout).toBe('500000\n90\n');
    expect(run('ulimit -t', false, { limits: '0 0\n' }).stdout).toBe('unlimited\n');
  });

  describe('with a meter that is to come', () => {
    beforeEach(() => void execFileSync('mkfifo', [join(folder, 'meter/say')]));

    /** Opens the FIFO after a while, hears of the begin, and says so a while later. */
    const meter = (answer: string): ReturnType<typeof spawn> => {
      const file = join(folder, 'meter');
      const hear = `sleep 0.3; exec 3<>${file}/say; read -r word pid <&3; echo "$word" >>${file}/story`;
      const script = `${hear}; sleep 0.3; echo answered >>${file}/story; echo "${answer}" >${file}/usage`;
      return spawn('/bin/bash', ['-c', script], { stdio: 'ignore' });
    };

    it('starts its task when that has heard, and not before', () => {
      meter(within.replace('- end', '$pid end').trim());
      // What was open for the wait is not the task's.
      const script = `echo started >>${folder}/meter/story; ls /proc/$$/fd | grep -c "^[89]$"; exit 6`;
      expect(run(script, false)).toMatchObject({ code: 6, stdout: '0\n' });
      expect(readFileSync(join(folder, 'meter/story'), 'utf8')).toBe('begin\nanswered\nstarted\n');
    });

    it('starts its task without it where none comes, and none where it does not say which group', () => {
      expect(run('echo out; exit 5', false)).toEqual({ code: 5, stdout: 'out\n', stderr: '' });
      const elsewhere = within.replace('by=sampler', 'by=cgroup');
      expect(run('echo out', false, { usage: elsewhere })).toMatchObject({ code: 0, stdout: 'out\n' });
    });

    it('passes a signal that comes meanwhile on to the task, once that is there', async () => {
      meter(within.trim());
      const signal = signalScript(join(folder, 'task'), 'TERM').toString();
      // It finds the session once that is there, and only that.
      const sender = spawn('/bin/bash', ['-c', signal], { stdio: 'ignore' });
      const sent = new Promise((resolve) => sender.once('exit', resolve));
      // Where the signal comes before the trap is set, it is the signal's own end.
      const { code } = run('trap "exit 9" TERM; for ((i = 0; i < 300; i++)); do sleep 0.1; done', false);
      expect([9, 143]).toContain(code);
      await sent;
    });
  });
});
