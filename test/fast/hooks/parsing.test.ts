import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { execFileSync } from 'node:child_process';
import { changedMomConfig } from '../../../hooks/install/mom-config.js';
import { parseWorkerConfig } from '../../../hooks/src/config.js';
import { attemptsToEnd } from '../../../hooks/src/epilogue.js';
import { parseStat } from '../../../hooks/src/processes.js';
import { quote } from '../../../hooks/src/remote/quote.js';
import { jobOfSafeName, safeName, type AttemptRecord } from '../../../hooks/src/spool/spool.js';
import { makeKeyPair } from '../../../hooks/src/ssh-key.js';
import { Environment, splitScriptLine } from '../../../hooks/src/starter/input.js';
import { waitLimitMs } from '../../../hooks/src/starter/waiting.js';
import {
  featuresOf,
  jobOfFileName,
  memoryOf,
  sizeOf,
  walltimeOf,
} from '../../../hooks/src/torque/arguments.js';
import { leaseRequest } from '../../../src/http/api.js';
import { parseQstat } from '../../../hooks/src/torque/qstat.js';

describe('what Torque tells', () => {
  it('walltime in a resource list', () => {
    expect(walltimeOf('nodes=1:ppn=2,walltime=01:02:03')).toBe(3723);
    expect(walltimeOf('walltime=1:00:00:00')).toBe(86_400);
    expect(walltimeOf('walltime=90')).toBe(90);
    expect(walltimeOf('nodes=1')).toBeNull();
  });

  it('memory in a resource list: mem, or pmem for each processor', () => {
    const mib = 1024 ** 2;
    expect(memoryOf('neednodes=1:ppn=4,nodes=1:ppn=4,mem=4gb,walltime=1', 4)).toBe(4096 * mib);
    expect(memoryOf('nodes=1:ppn=4,pmem=512mb', 4)).toBe(2048 * mib);
    expect(memoryOf('mem=1gb,pmem=512mb', 4)).toBe(2048 * mib);
    expect(memoryOf('vmem=8gb,pvmem=2gb,nodes=1', 2)).toBeNull();
    expect([sizeOf('1048576'), sizeOf('1024b'), sizeOf('1GB'), sizeOf('2mw'), sizeOf('3g')]).toEqual([
      mib,
      1024,
      1024 * mib,
      16 * mib,
      3072 * mib,
    ]);
    for (const text of ['', '0gb', '-1gb', '4 gb', '4gbb', '999999999999pb', 'lots'])
      expect(sizeOf(text)).toBeNull();
  });

  it('properties of a node in a resource list', () => {
    const hosts = ['w1', 'w1.site.example', ''];
    const asked: readonly (readonly [string, readonly string[]])[] = [
      ['neednodes=1:ppn=2,nodes=1:ppn=2,walltime=1', []],
      ['nodes=1:ppn=2:big:ssd-2,walltime=1', ['big', 'ssd-2']],
      ['nodes=big:ppn=2', ['big']],
      ['nodes=w1:ppn=2:big', ['big']],
      ['nodes=W1.other.example:big:big', ['big']],
      ['nodes=1:gpus=2:exclusive_process:big#shared', ['big']],
      ['nodes=1:big+1:small', ['big']],
      ['mem=4gb,neednodes=1:big', ['big']],
      ['walltime=1', []],
      ['nodes=1:$(x):-a:b c', []],
    ];
    for (const [resources, features] of asked) expect(featuresOf(resources, hosts)).toEqual(features);
  });

  it('whatever a resource list holds, what is sent of it is what the service takes', () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1, max: 64 }), (text, processors) => {
        const resources = `nodes=1:${text},mem=${text}`;
        const memory = memoryOf(resources, processors);
        const features = featuresOf(resources, []);
        const sent = { memory: memory ?? undefined, features: [...features] };
        expect(leaseRequest.pick({ memory: true, features: true }).safeParse(sent).success).toBe(true);
      }),
    );
  });

  it('qstat -f with broken lines', () => {
    const text =
      'Job Id: 28.server\n    Job_Name = x\n    Variable_List = A=1,PBS_O_WORKDIR=/home/alice/a,b\n\tc,\n\tB=2\n    start_count = 3\n\n';
    const facts = parseQstat(text);
    expect(facts?.startCount).toBe(3);
    expect(facts?.variables.get('PBS_O_WORKDIR')).toBe('/home/alice/a,bc');
    expect(facts?.variables.get('B')).toBe('2');
    expect(parseQstat('qstat: Unknown Job Id')).toBeNull();
  });

  it('file names of array jobs', () => {
    expect(jobOfFileName('28-0.server')).toBe('28[0].server');
    expect(jobOfFileName('28.my-server')).toBe('28.my-server');
  });

  it('the line with the script and its arguments', () => {
    const line = splitScriptLine(Buffer.from('/a/28-0.server.SC one "two  words"'));
    expect(line?.path).toBe('/a/28-0.server.SC');
    expect(line?.rest.toString()).toBe(' one "two  words"');
    expect(splitScriptLine(Buffer.from('no path'))).toBeNull();
  });
});

describe('names and quoting', () => {
  it('any job id becomes a file name of its own and back', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (id) => {
        const name = safeName(Buffer.from(id).toString());
        expect(name).toMatch(/^[A-Za-z0-9_=-][A-Za-z0-9_.=-]*$/);
        expect(jobOfSafeName(name)).toBe(Buffer.from(id).toString());
      }),
    );
    expect(safeName('28[0].server')).toBe('28=5B0=5D.server');
    expect(safeName('..')).not.toContain('..');
    for (const stray of ['lost+found', '28.s=', '=ZZ', '=FF', '28.s.new~', '=41']) {
      expect(jobOfSafeName(stray)).toBeNull();
    }
  });

  it('a quoted word comes out of a shell as it went in', () => {
    fc.assert(
      fc.property(
        fc.string().filter((text) => !text.includes('\0')),
        (text) => {
          const out = execFileSync('/bin/sh', ['-c', `printf %s ${quote(text)}`]);
          expect(out.equals(Buffer.from(text))).toBe(true);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('a command’s name with brackets and blanks does not confuse /proc/PID/stat', () => {
    const fields = ['S', 1, 40, 41, ...Array.from({ length: 15 }, () => 0), 777, 0].join(' ');
    expect(parseStat(`42 (a) b (c) ${fields}`)).toMatchObject({
      pid: 42,
      parent: 1,
      session: 41,
      ticks: 777,
    });
  });

  it('an environment keeps its bytes; entries without = are left out', () => {
    const raw = Buffer.from([65, 61, 0xff, 0xfe]);
    const environment = new Environment([raw, Buffer.from('junk')]).with('B', 'x');
    expect(environment.toBytes()).toEqual(Buffer.concat([raw, Buffer.from('\0B=x\0')]));
  });
});

describe('decisions', () => {
  it('waiting ends before the walltime does', () => {
    expect(waitLimitMs(3_600_000, null)).toBe(3_600_000);
    expect(waitLimitMs(3_600_000, 600)).toBe(540_000);
    expect(waitLimitMs(3_600_000, 10)).toBe(8000);
    expect(waitLimitMs(1000, 600)).toBe(1000);
  });

  it('an epilogue ends its own attempt and older ones, never a newer', () => {
    const attempt = (pid: number, ticks: number, state: AttemptRecord['state'] = 'open'): AttemptRecord => ({
      ...{ version: 1, job: '1.s', user: 'a', uid: 1000, gid: 1000, groups: [], start: 1, boot: 'b' },
      ...{ starter: { pid, ticks }, prologue: { pid: pid + 1, ticks }, script: '', lease: null, state },
      superseded: false,
    });
    const pids = (all: AttemptRecord[], session: number, self = 1000): number[] =>
      attemptsToEnd(all, session, 'b', self, () => true).map((one) => one.starter.pid);
    const two = [attempt(10, 100), attempt(20, 200)];
    expect(pids(two, 10)).toEqual([10]);
    expect(pids(two, 20)).toEqual([10, 20]);
    expect(pids(two, 0, 150)).toEqual([10]);
    expect(pids([attempt(10, 100, 'ended'), attempt(20, 200)], 10)).toEqual([]);
    expect(pids(two, 99)).toEqual([]);
  });
});

describe('configuration', () => {
  it('has defaults for all but the service', () => {
    const parsed = parseWorkerConfig('{"service":{"url":"http://127.0.0.1:8080/"},"worker":"w1"}');
    expect(parsed).toMatchObject({
      ok: true,
      config: { service: { url: 'http://127.0.0.1:8080' }, sharedHome: false },
    });
  });

  it('names every error at once', () => {
    const parsed = parseWorkerConfig(
      '{"service":{"url":"ftp://x","tok":1},"worker":"a b","startLimit":0,"copyIn":["../x"],"credentials":[{}],"ssh":{"options":["-x"]}}',
    );
    expect(parsed.ok ? [] : parsed.errors.map((error) => error.split(':')[0])).toEqual([
      ...[
        'service.url',
        'worker',
        'startLimit',
        'copyIn[0]',
        'credentials[0]',
        'ssh.options[0]',
        'service.tok',
      ],
    ]);
  });

  it('mom_priv/config: ours are set once, others stay, and a second time changes nothing', () => {
    const directives = [
      { name: '$prologalarm', value: '300' },
      { name: '$job_starter', value: '/x' },
    ];
    const before = '$pbsserver head\n$prologalarm 60\n# note\n$prologalarm 70\n';
    const after = changedMomConfig(before, directives);
    expect(after).toBe('$pbsserver head\n$prologalarm 300\n# note\n$job_starter /x\n');
    expect(changedMomConfig(after, directives)).toBe(after);
  });
});

describe('keys', () => {
  it('ssh-keygen reads them and finds the same public key', () => {
    const pair = makeKeyPair('test');
    const script = 'umask 077; f=$(mktemp); cat > $f; ssh-keygen -y -f $f; rm -f $f';
    const read = execFileSync('/bin/sh', ['-c', script], { input: pair.privateKey, encoding: 'utf8' });
    expect(read.trim()).toBe(pair.publicKey);
  });
});
