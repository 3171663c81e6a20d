import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { compareSurvey, compareTrees, isExcused, referenceOf } from '../../../src/guest/compare.js';
import { noiseRules, ruleFor } from '../../../src/guest/noise.js';
import { parseEntry, parseSurvey, type Survey } from '../../../src/guest/survey.js';

const hash = (digit: string): string => digit.repeat(64);
const limits = { uidMin: 1000, spaceMarginKiB: 1024 };

const machine = [
  'boot\t7eaffe31-2330-454f-b14e-2fee70990786',
  'self\t50',
  'exe\t/proc/1\t/sbin/init',
  'exe\t/proc/9\t/usr/sbin/cron',
  'exe\t/proc/40\t/usr/sbin/sshd',
  'proc\t1\t0,0,0,0\t\tS 0 1 1\t/sbin/init',
  'proc\t9\t0,0,0,0\t\tS 1 9 9\t/usr/sbin/cron -f',
  'proc\t30\t0,0,0,0\t\tS 1 30 30\tsshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups',
  'proc\t40\t0,0,0,0\t\tS 30 40 40\tsshd: root@notty',
  'proc\t50\t0,0,0,0\t\tS 40 50 50\tbash -c script',
  'proc\t51\t0,0,0,0\t\tR 50 51 51\tfind /',
  'mount\text4\t/',
  'socket\ttcp\t00000000:0016\t00000000:0000\t0A\t0',
  'ipc\tshm\t       key      shmid perms',
  `firewall\t${hash('e')}  -`,
  `content\t${hash('c')}\t/etc/passwd`,
  'free\t100000\t/',
  `tree\t${hash('a')}`,
  'loose\tf\t640\t0\t4\t10\t1.0\t2.0\t/var/log/syslog//',
];
const tree = [
  'strict\tf\t755\t0\t0\t5\t1.0\t2.0\t/usr/bin/x//',
  'strict\tl\t777\t0\t0\t-\t-\t-\t/bin//usr/bin',
];

function survey(records: readonly string[]): Survey {
  const parsed = parseSurvey(
    Buffer.from([...records, 'end'].map((record) => `${record}\0`).join(''), 'latin1'),
  );
  if (!parsed) throw new Error('the survey of the test cannot be read');
  return parsed;
}

function findings(records: readonly string[], before: readonly string[] = [...machine, ...tree]): string[] {
  const base = survey(before);
  return compareSurvey(referenceOf(base), survey(records), () => base.tree, limits).map(({ text }) => text);
}

describe('a machine compared with its baseline', () => {
  it('is clean when nothing differs, with or without the list of files', () => {
    expect(findings(machine)).toEqual([]);
    expect(findings([...machine, ...tree])).toEqual([]);
  });

  it('is clean after services restarted and logs grew', () => {
    const later = machine.map((record) =>
      record
        .replace('proc\t9\t', 'proc\t99\t')
        .replace('exe\t/proc/9\t', 'exe\t/proc/99\t')
        .replace('\t10\t1.0\t2.0', '\t99\t3.0\t3.0'),
    );
    expect(findings(later)).toEqual([]);
  });

  it.each([
    ['a daemon of root', 'proc\t70\t0,0,0,0\t\tS 1 70 70\tevil', /process: 70 of uid 0: evil/],
    [
      'a program whose first thread has ended',
      'proc\t70\t0,0,0,0\t\tZ 1 70 70 0 -1 0 0 0 0 0 0 0 0 0 20 0 2\t',
      /process: 70 of uid 0/,
    ],
    ['another connection', 'proc\t70\t0,0,0,0\t\tS 30 70 70\tsh -i', /process: 70/],
    ['a mount', 'mount\ttmpfs\t/mnt', /mount: tmpfs \/mnt is new/],
    ['a second mount of the same', 'mount\text4\t/', /mount: ext4 \/ is new/],
    ['a listener', 'socket\ttcp6\t0000:1F90\t0000:0000\t0A\t0', /socket: tcp6 port 8080/],
    ['a bound UDP socket', 'socket\tudp\t00000000:0045\t00000000:0000\t07\t0', /socket: udp port 69/],
    ['shared memory', 'ipc\tshm\t 0x1 3 600 4096 1 1 0 0 0 0 0', /ipc: shm key 0x1/],
    ['a message queue', 'mqueue\t0\t/dev/mqueue/q', /ipc: mqueue 0 \/dev\/mqueue\/q/],
    ['a set-id log', 'loose\tf\t4755\t0\t0\t1\t1\t1\t/var/log/x//', /\/var\/log\/x is new: set-id file/],
    ["a log of a job's", 'loose\tf\t600\t4001\t4\t1\t1\t1\t/var/log/y//', /\/var\/log\/y is new/],
    ['a hashed file', `content\t${hash('d')}\t/etc/subuid`, /\/etc\/subuid is new/],
  ])('is dirty with %s', (_what, record, pattern) => {
    expect(findings([...machine, record])).toEqual([expect.stringMatching(pattern)]);
  });

  it('takes noise for what it is: other queries by UDP, kernel threads, zombies', () => {
    const noise = [
      'socket\tudp\t00000000:C000\t00000000:0000\t07\t0',
      'socket\tudp\t0100007F:0044\t0100007F:0043\t01\t0',
      'socket\ttcp\t0100007F:0016\t0100007F:C043\t01\t0',
      'proc\t71\t0,0,0,0\t\tS 2 0 0\t',
      'proc\t72\t4001,4001,4001,4001\t\tZ 1 0 0\t',
    ];
    expect(findings([...machine, ...noise])).toEqual([]);
  });

  it('names a changed account file, missing mounts, lost space, firewall rules', () => {
    const later = machine
      .filter((record) => !record.startsWith('mount'))
      .map((record) =>
        record
          .replace(hash('c'), hash('0'))
          .replace('free\t100000', 'free\t50000')
          .replace(hash('e'), hash('1')),
      );
    expect(findings(later)).toEqual([
      'mount: ext4 / is gone',
      'firewall: the rules are not those of the baseline',
      'file: /etc/passwd has another content',
      'space: 49 MiB less free on / than at the baseline',
    ]);
  });

  it('never takes another tree for clean, even if no difference can be named', () => {
    const other = [...machine.map((record) => record.replace(hash('a'), hash('b'))), ...tree];
    expect(findings(other)).toEqual(['file: the tree of files is not that of the baseline']);
  });
});

const record = fc
  .tuple(
    fc.constantFrom('f', 'd', 'l'),
    fc.constantFrom('644', '4755'),
    fc.nat(3),
    fc.nat(3),
    fc.string({ minLength: 1, maxLength: 6 }).filter((name) => !/[\0/]/.test(name)),
  )
  .map(
    ([type, mode, size, ctime, name]) =>
      `${type}\t${mode}\t0\t0\t${type === 'f' ? `${size}\t1\t${ctime}` : '-\t-\t-'}\t/${name}//`,
  );
const trees = fc.uniqueArray(record, { selector: (text) => parseEntry(text)?.path, maxLength: 30 });

describe('two lists of files', () => {
  it('differ in nothing exactly when they hold the same', () => {
    fc.assert(
      fc.property(trees, trees, (before, now) => {
        const same = JSON.stringify([...before].sort()) === JSON.stringify([...now].sort());
        expect(compareTrees(before, now).length === 0).toBe(same);
        expect(compareTrees(now, now)).toEqual([]);
      }),
    );
  });

  it('differ by each path once, as new, changed or missing', () => {
    fc.assert(
      fc.property(trees, trees, (before, now) => {
        const paths = (list: readonly string[]): Set<string> =>
          new Set(list.map((text) => parseEntry(text)?.path ?? ''));
        const was = paths(before);
        const is = paths(now);
        const differences = compareTrees(before, now);
        expect(new Set(differences.map(({ path }) => path)).size).toBe(differences.length);
        for (const { path, what } of differences) {
          if (what === 'is missing') expect([was.has(path), is.has(path)]).toEqual([true, false]);
          else if (what.startsWith('is new')) expect([was.has(path), is.has(path)]).toEqual([false, true]);
          else expect([was.has(path), is.has(path)]).toEqual([true, true]);
        }
      }),
    );
  });
});

describe('a survey', () => {
  it('that is cut anywhere is none', () => {
    const whole = Buffer.from([...machine, ...tree, 'end'].map((text) => `${text}\0`).join(''), 'latin1');
    for (let length = 0; length < whole.length; length++)
      expect(parseSurvey(whole.subarray(0, length))).toBeNull();
    expect(parseSurvey(whole)).not.toBeNull();
  });

  it('of any bytes is read or refused, never thrown over', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), (bytes) => void parseSurvey(Buffer.from(bytes))),
    );
  });

  it('keeps a path with tabs, line ends and bytes of no encoding apart from its fields', () => {
    const path = '/a\tb\nc\xff d';
    expect(parseEntry(`f\t644\t0\t0\t1\t2\t3\t${path}//`)).toMatchObject({
      path,
      entry: { mode: '644', target: '' },
    });
    expect(parseEntry('l\t777\t0\t0\t-\t-\t-\t/x//a//b')).toMatchObject({
      path: '/x',
      entry: { target: 'a//b' },
    });
    expect(parseEntry('f\t644')).toBeNull();
  });
});

describe('noise', () => {
  const plain = { type: 'f', mode: '644', uid: 0, gid: 0, stamp: 's', target: '' };

  it('never excuses set-id bits, programs, or owners that are people', () => {
    for (const { path } of noiseRules) {
      for (const below of [path, `${path}/x`]) {
        for (const entry of [
          { ...plain, mode: '4755' },
          { ...plain, mode: '2644' },
          { ...plain, mode: '755' },
          { ...plain, uid: 1000 },
          { ...plain, gid: 4001 },
          { ...plain, type: 'c' },
        ]) {
          expect([below, isExcused(below, undefined, entry, limits)]).toEqual([below, false]);
        }
      }
    }
  });

  it('never excuses what decides what runs', () => {
    for (const path of [
      '/run/systemd/system/a.service',
      '/run/systemd/transient',
      '/run/udev/rules.d/x',
      '/etc/ld.so.preload',
      '/etc/cron.d/x',
      '/var/logs',
      '/etc/resolv.conf.d',
    ])
      expect([path, ruleFor(path)]).toEqual([path, undefined]);
  });

  it('lets a file of the account tools be rewritten, but not change its owner, mode or kind', () => {
    expect(isExcused('/etc/passwd', plain, { ...plain, stamp: 't' }, limits)).toBe(true);
    expect(isExcused('/etc/passwd', plain, { ...plain, mode: '666' }, limits)).toBe(false);
    expect(isExcused('/etc/passwd', plain, { ...plain, type: 'l' }, limits)).toBe(false);
    expect(isExcused('/etc/passwd', plain, { ...plain, gid: 5 }, limits)).toBe(false);
  });
});
