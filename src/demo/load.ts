import { createHash } from 'node:crypto';
import type { JobResult, Submission } from '../../test/mom/job.js';
import type { Mom } from '../../test/mom/mom.js';
import type { DemoWorker, UserName } from './worker.js';

/** What a job's act may do besides waiting. */
export interface Acting {
  readonly mom: Mom;
  /** Resolves when the condition holds; rejects when it does not within the demo's limit, or is interrupted. */
  readonly until: (holds: () => boolean, what: string) => Promise<void>;
  /** Ends the VM on which that job runs, as a failing host would. Rejects when it runs on none. */
  readonly killVmOf: (job: string) => Promise<void>;
}

/** One job of the demo: what the user submits, what happens to it, and what must come of it. */
export interface DemoJob {
  /** For people, a few words. */
  readonly what: string;
  readonly user: UserName;
  readonly submission: Omit<Submission, 'user'>;
  readonly expected: string;
  /** Goes on beside the job; rejects when something takes too long. */
  readonly act?: (job: string, acting: Acting) => Promise<void>;
  /** What is wrong with the outcome, a sentence each. */
  readonly judge: (result: JobResult, worker: DemoWorker) => readonly string[];
}

const bigBytes = 20 * 1024 * 1024;

const wanted = (holds: boolean, sentence: string): readonly string[] => (holds ? [] : [sentence]);

const exited = (result: JobResult, code: number): readonly string[] =>
  wanted(result.exitStatus === code, `exit status ${String(result.exitStatus)} instead of ${String(code)}`);

/** The mixed load. Makes the users' working directories on the worker. */
export const demoLoad = (worker: DemoWorker): readonly DemoJob[] => [
  ...arrayJob(worker),
  failingJob(worker),
  bigOutput(worker),
  environmentJob(worker),
  deletedJob(worker),
  dyingVm(worker),
  interactive(worker),
];

const arrayJob = (worker: DemoWorker): readonly DemoJob[] => {
  const directory = worker.directory('alice', 'array', { 'input.txt': 'seven\n' });
  return [0, 1, 2, 3].map((index) => ({
    what: `array task ${String(index)}`,
    user: 'alice',
    submission: {
      name: 'array',
      arrayIndex: index,
      workDirectory: directory,
      script: `#!/bin/bash
#PBS -N array
#PBS -t 0-3
cd "$PBS_O_WORKDIR"
sleep 2
echo "task $PBS_ARRAYID of $PBS_JOBID on $(hostname), $(id -un)"
echo "$(cat input.txt) $PBS_ARRAYID" > "result.$PBS_ARRAYID"
`,
    },
    expected: 'its result file is copied back',
    judge: (result, on) => [
      ...exited(result, 0),
      ...wanted(
        result.stdout.toString().startsWith(`task ${String(index)} of ${result.id} on `),
        'wrong output',
      ),
      ...wanted(
        on.file(`${directory}/result.${String(index)}`) === `seven ${String(index)}\n`,
        'its result file did not come back',
      ),
    ],
  }));
};

const failingJob = (worker: DemoWorker): DemoJob => ({
  what: 'fails',
  user: 'bob',
  submission: {
    name: 'fails',
    workDirectory: worker.directory('bob', 'fails', {}),
    script: '#!/bin/sh\necho "no such input" >&2\nexit 3\n',
  },
  expected: 'exit 3, its stderr kept',
  judge: (result) => [
    ...exited(result, 3),
    ...wanted(result.stderr.includes('no such input'), 'its stderr was lost'),
  ],
});

const bigOutput = (worker: DemoWorker): DemoJob => ({
  what: 'big output, 20 MiB',
  user: 'carol',
  submission: {
    name: 'big',
    workDirectory: worker.directory('carol', 'big', {}),
    script: `#!/bin/bash
head -c ${String(bigBytes)} /dev/urandom > big.bin
sha256sum < big.bin | cut -d' ' -f1 >&2
cat big.bin
rm big.bin
`,
  },
  expected: 'every byte arrives',
  judge: (result) => [
    ...exited(result, 0),
    ...wanted(result.stdout.length === bigBytes, `${String(result.stdout.length)} bytes arrived`),
    ...wanted(
      result.stderr.includes(createHash('sha256').update(result.stdout).digest('hex')),
      'the checksum differs',
    ),
  ],
});

const environmentJob = (worker: DemoWorker): DemoJob => {
  const directory = worker.directory('bob', 'study', { 'data.csv': '1\n2\n39\n' });
  return {
    what: '-v, -F and files',
    user: 'bob',
    submission: {
      name: 'study',
      args: '"two  words" plain',
      variables: { SEED: '17', TITLE: 'it\'s "quoted"\nand two lines' },
      workDirectory: directory,
      script: `#!/bin/bash
cd "$PBS_O_WORKDIR" || exit 9
printf '%s|' "$#" "$1" "$2" "$SEED" "$TITLE" "$PBS_JOBNAME"
sum=0; while read -r n; do sum=$((sum + n)); done < data.csv
echo "$sum" > sum.txt
sleep 1
`,
    },
    expected: 'variables, arguments and files as given',
    judge: (result, on) => [
      ...exited(result, 0),
      ...wanted(
        result.stdout.toString() === '2|two  words|plain|17|it\'s "quoted"\nand two lines|study|',
        `it saw ${JSON.stringify(result.stdout.toString())}`,
      ),
      ...wanted(on.file(`${directory}/sum.txt`) === '42\n', 'sum.txt did not come back'),
    ],
  };
};

const said = ({ mom, until }: Acting, job: string, text: string, what: string): Promise<void> =>
  until(() => mom.stdout(job).toString().includes(text), what);

const deletedJob = (worker: DemoWorker): DemoJob => ({
  what: 'deleted by qdel',
  user: 'bob',
  submission: {
    name: 'endless',
    workDirectory: worker.directory('bob', 'endless', {}),
    script: "#!/bin/bash\ntrap 'echo cleaned up; exit 143' TERM\necho began\nwhile :; do sleep 0.2; done\n",
  },
  expected: 'SIGTERM reaches it on the VM',
  act: async (job, acting) => {
    await said(acting, job, 'began', 'its begin');
    await acting.mom.qdel(job);
  },
  judge: (result) => [
    ...exited(result, 143),
    ...wanted(result.stdout.toString().includes('cleaned up'), 'it could not clean up'),
  ],
});

const dyingVm = (worker: DemoWorker): DemoJob => ({
  what: 'its VM dies',
  user: 'alice',
  submission: {
    name: 'unlucky',
    workDirectory: worker.directory('alice', 'unlucky', {}),
    // Its first start goes on until the VM dies, however long that takes; the file is there for the second one.
    script: '#!/bin/bash\ncd "$PBS_O_WORKDIR"\necho began\n[ -e again ] || sleep 300\necho finished\n',
  },
  expected: 'exit 99, requeued, done on another VM',
  act: async (job, acting) => {
    await said(acting, job, 'began', 'its begin');
    worker.directory('alice', 'unlucky', { again: '' });
    await acting.killVmOf(job);
  },
  judge: (result, on) => [
    ...exited(result, 0),
    ...wanted(on.mom.starts(result.id)[0]?.exitStatus === 99, 'its first start did not end with 99'),
    ...wanted(result.starts === 2, `${String(result.starts)} starts instead of 2`),
    ...wanted(/VM \S+ .*was lost while job/.test(result.stderr), 'its stderr does not say what happened'),
    ...wanted(result.stdout.toString().includes('finished'), 'the second start did not finish'),
  ],
});

const interactive = (worker: DemoWorker): DemoJob => ({
  what: 'interactive (qsub -I)',
  user: 'carol',
  submission: {
    name: 'STDIN',
    interactive: true,
    script: '',
    workDirectory: worker.directory('carol', 'talk', {}),
  },
  expected: 'a terminal on the VM',
  act: async (job, acting) => {
    const { mom } = acting;
    const shown = (): string => mom.stdout(job).toString();
    await acting.until(() => /[$#] $/.test(shown()), 'a prompt');
    mom.type(job, 'tty; echo "$PBS_ENVIRONMENT as $(id -un)"\r');
    await said(acting, job, 'PBS_INTERACTIVE as carol', 'the answer');
    mom.type(job, 'sleep 100\r');
    await new Promise((resolve) => setTimeout(resolve, 500));
    mom.type(job, '\x03');
    mom.type(job, 'echo "code $?"\r');
    await said(acting, job, 'code 130', 'Ctrl-C');
    mom.type(job, 'exit 0\r');
  },
  judge: (result) => [
    ...exited(result, 0),
    ...wanted(/\/dev\/pts\/\d+/.test(result.stdout.toString()), 'it had no terminal'),
  ],
});
