import { describe, expect, it } from '@jest/globals';
import type { StackPreview } from '../../../src/cli/preview.js';
import { isClean, planText, stacksOf, type Told } from '../../../src/cli/screens/plan.js';
import { plain } from '../../../src/cli/terminal.js';
import type { PlannedCell, PlannedMember, PlanView } from '../../../src/http/plan-api.js';

const preview = (
  stack: string,
  changes: StackPreview['changes'] = { same: 2 },
  ...lines: string[]
): StackPreview => ({
  ...{ stack, changes, instances: [], lines },
});

const create: PlannedMember = {
  ...{ vm: 'batch-0007-abcd', order: 'create', by: 'stack', decided: true },
  why: 'job 28 waits for a VM',
};

const cell = (name: string, changes: Partial<PlannedCell> = {}): PlannedCell => ({
  ...{
    name,
    stack: `batch-${name}`,
    running: false,
    nextTry: null,
    lastError: null,
    looks: false,
    members: [],
  },
  ...changes,
});

const planOf = (changes: Partial<PlanView> = {}): { readonly plan: PlanView } => ({
  plan: {
    now: '2026-11-23T10:00:00.000Z',
    pools: [{ name: 'batch', paused: null, noCreates: null }],
    cells: [],
    strays: [],
    ...changes,
  },
});

const shown = (previews: readonly StackPreview[], told: Told): [string, boolean] => {
  const stacks = stacksOf(previews, told);
  return [planText(stacks, told, plain), isClean(stacks, told)];
};

describe('vmpool plan', () => {
  it('a line for each stack where nothing is to be done', () => {
    const told = planOf({ cells: [cell('c001'), cell('c002', { running: true })] });
    expect(shown([preview('batch-c001'), preview('batch-svc-nagios')], told)).toEqual([
      'no change  batch-c001 (2 resources)\nno change  batch-svc-nagios (2 resources)',
      true,
    ]);
  });

  it('each VM with its reason, beside what pulumi preview says', () => {
    const gone: PlannedMember = {
      ...create,
      vm: 'batch-0003-efgh',
      order: 'delete',
      by: 'cloud',
      why: 'idle\nnot needed',
    };
    const told = planOf({ cells: [cell('c001', { members: [gone, create], running: true })] });
    const update = preview(
      'batch-c001',
      { same: 1, create: 1 },
      'create openstack:compute/instance:Instance x',
    );
    expect(shown([update], told)).toEqual([
      [
        'changes  batch-c001',
        "  delete batch-0003-efgh by the cloud's API: idle | not needed",
        '  create batch-0007-abcd: job 28 waits for a VM',
        '  an update of it runs',
        '  pulumi preview: create openstack:compute/instance:Instance x',
      ].join('\n'),
      false,
    ]);
  });

  it('what the service has in mind where Pulumi sees no change yet, and where there is no stack yet', () => {
    const told = planOf({
      cells: [
        cell('c001', { members: [create], nextTry: '2026-11-23T10:00:02.000Z', lastError: 'quota' }),
        cell('c002', { members: [{ ...create, vm: null }] }),
        cell('c003', { looks: true }),
        cell('', { stack: null, members: [{ ...create, order: 'delete', by: 'cloud', why: 'not ours' }] }),
      ],
    });
    const [text, clean] = shown([preview('batch-c001')], told);
    expect(text).toMatch(
      /^changes {2}batch-c001\n {2}create batch-0007-abcd: job 28 waits for a VM\n {2}not before \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n {2}the last update failed: quota\nchanges {2}batch-c002\n {2}create a new VM: job 28 waits for a VM\nchanges {2}batch-c003\n {2}look what its stack holds: the book does not know\nchanges {2}in no stack\n {2}delete batch-0007-abcd by the cloud's API: not ours$/,
    );
    expect(clean).toBe(false);
  });

  it('says first that changes are paused, and why no more VMs are made; of several pools, of which', () => {
    const paused = { why: 'audit', until: '2026-11-23T11:00:00.000Z' };
    const pools = [{ name: 'batch', paused, noCreates: 'no room' }];
    const [text] = shown(
      [preview('batch-c001')],
      planOf({ pools, cells: [cell('c001', { members: [create] })] }),
    );
    expect(text).toMatch(
      /^changes are paused until [-0-9]+ [:0-9]+: audit\. What stands here is done after that, or after vmpool resume, if it is still wanted then\.\nno more VMs are made: no room\nchanges {2}batch-c001\n/,
    );
    const both = [...pools, { name: 'large', paused: null, noCreates: null }];
    expect(shown([], planOf({ pools: both }))[0]).toMatch(
      /^batch: changes are paused .*\nbatch: no more VMs/,
    );
  });

  it('servers that go by the name of another', () => {
    const told = planOf({ strays: [{ server: 'twin', vm: 'batch-0001-abcd', why: 'it was ended' }] });
    expect(shown([preview('batch-c001')], told)).toEqual([
      'no change  batch-c001 (2 resources)\nchanges  delete server twin, which goes by the name of batch-0001-abcd: it was ended',
      false,
    ]);
  });

  it('the previews alone, and why, where the service does not say', () => {
    const told = { unknown: 'the service cannot be reached' };
    expect(shown([preview('batch-c001')], told)).toEqual([
      'no change  batch-c001 (2 resources)\nWhat the service has in mind, and why, is not known: the service cannot be reached',
      true,
    ]);
    const [text, clean] = shown([preview('batch-c001', null, 'error: locked')], told);
    expect(text).toContain('failed  batch-c001\n  pulumi preview: error: locked');
    expect(clean).toBe(false);
    expect(shown([preview('batch-c001', { same: 1, update: 1 }, 'update x')], told)[1]).toBe(false);
  });
});
