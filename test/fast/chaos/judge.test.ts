import { describe, expect, it } from '@jest/globals';
import type { EndEvidence, Evidence, JobEvidence, RunEvidence } from '../../chaos/evidence.js';
import { judge } from '../../chaos/judge.js';

const run = (changes: Partial<RunEvidence> = {}): RunEvidence => ({
  key: 'worker1/1',
  nonce: 'first',
  vm: 'vm-1',
  lessee: { key: 'worker1/1', start: 1 },
  beganAt: 1000,
  doneAt: 2000,
  vmKilled: false,
  besides: [],
  ...changes,
});

const job = (changes: Partial<JobEvidence> = {}): JobEvidence => ({
  key: 'worker1/1',
  state: 'complete',
  exitStatus: 0,
  stdout: 'worked first\n',
  stderr: '',
  messages: '',
  result: 'first',
  starts: [{ exitStatus: 0, prologue: 'exit 0', starterKilled: false }],
  ...changes,
});

const cell = { stack: 'demo-c1', known: true };
const vm9 = { ...cell, changes: 0, instances: ['vm-9'], lines: [] };

const end = (changes: Partial<EndEvidence> = {}): EndEvidence => ({
  members: [{ name: 'vm-9', state: 'Free', reason: null }],
  min: 1,
  leases: [],
  requests: [],
  problems: [],
  servers: ['vm-9'],
  traces: [],
  storeDamage: null,
  serviceEnd: 'exit code 0',
  previews: [{ ...cell, changes: 0, instances: ['vm-9'], lines: [] }],
  leftOnMachine: [],
  ...changes,
});

const evidence = (changes: Partial<Evidence> = {}): Evidence => ({
  jobs: [job()],
  runs: [run()],
  faults: [],
  end: end(),
  trouble: [],
  ...changes,
});

const wrongIn = (given: Evidence): readonly string[] => judge(given).checks.flatMap(({ wrong }) => wrong);
const again = { exitStatus: 99, prologue: 'exit 0', starterKilled: false };
const well = { exitStatus: 0, prologue: 'exit 0', starterKilled: false };

describe('the judge of a chaos run has nothing to say', () => {
  it('against a job that ran once', () => {
    const verdict = judge(evidence());
    expect(verdict.checks.flatMap(({ wrong }) => wrong)).toEqual([]);
    expect(verdict.outcomes).toEqual({ 'ran once': 1 });
  });

  it('against a job that ran again after its VM was lost', () => {
    const verdict = judge(
      evidence({
        jobs: [
          job({
            starts: [again, well],
            stderr: 'vmpool: VM vm-1 was lost',
            result: 'second',
            stdout: 'worked second\n',
          }),
        ],
        runs: [
          run({ vmKilled: true, doneAt: null }),
          run({ nonce: 'second', vm: 'vm-2', lessee: { key: 'worker1/1', start: 2 } }),
        ],
      }),
    );
    expect(verdict.checks.flatMap(({ wrong }) => wrong)).toEqual([]);
    expect(verdict.outcomes).toEqual({ 'ran again after its VM was lost': 1 });
  });

  it('against a job whose job starter was killed by chaos', () => {
    const killed = { exitStatus: 265, prologue: 'exit 0', starterKilled: true };
    const given = evidence({
      jobs: [job({ exitStatus: 265, starts: [killed] })],
      runs: [run({ doneAt: null })],
    });
    expect(wrongIn(given)).toEqual([]);
    expect(judge(given).outcomes).toEqual({ 'its job starter was killed in its work': 1 });
  });
});

describe('the judge of a chaos run complains of', () => {
  it.each<[string, Evidence, RegExp]>([
    [
      'a start that was executed twice',
      evidence({ runs: [run(), run({ nonce: 'second', vm: 'vm-2' })] }),
      /start 1 was executed twice/,
    ],
    [
      'a second execution after an end that asks for none',
      evidence({
        jobs: [job({ starts: [well, well] })],
        runs: [run(), run({ nonce: 'second', lessee: { key: 'worker1/1', start: 2 } })],
      }),
      /executed again although start 1 had ended with 0/,
    ],
    [
      'an execution of a start that Torque never made',
      evidence({ runs: [run({ lessee: { key: 'worker1/1', start: 2 } })] }),
      /which Torque never made/,
    ],
    [
      'more executions than starts, also where no marker tells which',
      evidence({ runs: [run({ lessee: null }), run({ nonce: 'second', lessee: null })] }),
      /2 executions of 1 starts/,
    ],
    [
      'two executions of a job at the same time',
      evidence({ runs: [run({ besides: [{ key: 'worker1/1', nonce: 'other', vm: 'vm-2' }] })] }),
      /executed twice at the same time/,
    ],
    [
      'two jobs on one VM',
      evidence({ runs: [run({ besides: [{ key: 'worker2/1', nonce: 'other', vm: 'vm-1' }] })] }),
      /worker2\/1 and worker1\/1 met on vm-1/,
    ],
    [
      "a job on another's VM",
      evidence({ runs: [run({ lessee: { key: 'worker2/1', start: 1 } })] }),
      /leased to worker2\/1/,
    ],
    ['a job that ended with 0 and never ran', evidence({ runs: [] }), /lost: it ended with 0 and never ran/],
    [
      'a job that ended with 0 before its work was done',
      evidence({ runs: [run({ doneAt: null })] }),
      /lost: it ended with 0 before/,
    ],
    ['a job that never ended', evidence({ jobs: [job({ state: 'running' })] }), /lost: it is still running/],
    ['output that was lost', evidence({ jobs: [job({ stdout: '' })] }), /its output was lost/],
    ['a result that did not come back', evidence({ jobs: [job({ result: null })] }), /result file did not/],
    [
      'an end without a reason',
      evidence({ jobs: [job({ exitStatus: 98, starts: [{ ...again, exitStatus: 98 }] })] }),
      /without a clear reason/,
    ],
    [
      'a job starter that died and that nobody killed',
      evidence({ jobs: [job({ exitStatus: 265, starts: [{ ...well, exitStatus: 265 }] })] }),
      /without a clear reason/,
    ],
    [
      'a start that asked for another without a word',
      evidence({ jobs: [job({ starts: [again, well] })] }),
      /its stderr does not say why/,
    ],
    [
      'work that was cut off though its VM was left alone',
      evidence({ runs: [run({ doneAt: null })] }),
      /was cut off/,
    ],
    ['a job that nobody submitted', evidence({ runs: [run(), run({ key: 'x/1' })] }), /never submitted/],
    ['a leaked VM', evidence({ end: end({ servers: ['vm-9', 'vm-3'] }) }), /vm-3 is no member/],
    ['a member without a server', evidence({ end: end({ servers: [] }) }), /vm-9 has no server/],
    ['a stuck lease', evidence({ end: end({ leases: ['worker1/1'] }) }), /lease of worker1\/1 is left/],
    ['a stuck request', evidence({ end: end({ requests: ['worker1/1'] }) }), /request of worker1\/1 is left/],
    [
      'a VM that is not Free at the end',
      evidence({ end: end({ members: [{ name: 'vm-9', state: 'Unusable', reason: 'held' }] }) }),
      /vm-9 is Unusable \(held\)/,
    ],
    ['a pool that does not shrink', evidence({ end: end({ min: 0 }) }), /1 members instead of 0/],
    ['a problem of the service', evidence({ end: end({ problems: ['no space'] }) }), /no space/],
    ['traces of a job', evidence({ end: end({ traces: ['/tmp/x on VM vm-9'] }) }), /\/tmp\/x/],
    ['a store that cannot be read', evidence({ end: end({ storeDamage: 'cut off' }) }), /cut off/],
    ['a service that does not stop', evidence({ end: end({ serviceEnd: 'signal SIGKILL' }) }), /SIGKILL/],
    [
      'a preview with changes',
      evidence({
        end: end({
          previews: [{ ...cell, changes: 1, instances: ['vm-9'], lines: ['create vm-9'] }],
        }),
      }),
      /create vm-9/,
    ],
    [
      'a cell that the service does not know, whatever befell its store',
      evidence({
        faults: [{ kind: 'store truncated', what: 'recovered --from-cloud', wrong: [] }],
        end: end({
          previews: [vm9, { ...cell, known: false, changes: 0, instances: [], lines: [] }],
        }),
      }),
      /knows nothing of demo-c1/,
    ],
    [
      'a preview that fails',
      evidence({
        end: end({ previews: [{ ...cell, changes: null, instances: ['vm-9'], lines: ['locked'] }] }),
      }),
      /it failed: locked/,
    ],
    [
      'a stack that holds something else',
      evidence({
        end: end({ previews: [{ ...cell, changes: 0, instances: ['vm-3'], lines: [] }] }),
      }),
      /vm-3 is in a stack and no member/,
    ],
    [
      'something left on the machine',
      evidence({ end: end({ leftOnMachine: ['process 7: pulumi up'] }) }),
      /process 7/,
    ],
    ['a site that did not come to rest', evidence({ end: null }), /no end to look at/],
    [
      'a fault that was answered wrongly',
      evidence({ faults: [{ kind: 'store truncated', what: 'x', wrong: ['it started'] }] }),
      /it started/,
    ],
    ['trouble of the run itself', evidence({ trouble: ['only 3 of 40 kills'] }), /only 3 of 40/],
  ])('%s', (_, given, words) => {
    expect(wrongIn(given).join('\n')).toMatch(words);
  });
});
