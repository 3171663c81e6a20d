import { describe, expect, it } from '@jest/globals';
import { busyInPreviews, comparedWithRunning } from '../../../src/cli/policy/busy.js';
import { parseStackText } from '../../../src/cli/policy/stack-file.js';
import { projectDefaults } from '../../../src/engine/stack-config.js';
import type { MemberView } from '../../../src/http/api.js';
import type { StackPreview } from '../../../src/cli/preview.js';
import type { Shape } from '../../../src/pool/model.js';

const good = `
config:
  vmpool:max: 3
  vmpool:flavor: small
  vmpool:image: debian
  vmpool:networks: [net0, net1]
  vmpool:adminKey: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample vmpool
`;

describe("a stack's config file, read without Pulumi", () => {
  it('is what the program would get, defaults included', () => {
    const read = parseStackText(good, 'Pulumi.x.yaml', projectDefaults());
    expect(read).toMatchObject({
      ok: true,
      value: { shape: { min: 0, max: 3, spec: { networks: ['net0', 'net1'], securityGroups: ['default'] } } },
    });
  });

  it.each([
    ['nothing', '', /vmpool:max/],
    ['no YAML', 'config: [', /^Pulumi.x.yaml is not YAML/],
    ['another form', 'config: 7', /config must be a map/],
    ['a slip of the pen', `${good}  vmpool:imgae: x\n`, /imgae/],
    ['an encrypted value', `${good}  vmpool:metadata: { secure: AAABAN }\n`, /vmpool:metadata is encrypted/],
  ])('is refused with a reason: %s', (_what, text, why) => {
    const read = parseStackText(text, 'Pulumi.x.yaml', projectDefaults());
    expect(read.ok ? [] : read.errors).toEqual(expect.arrayContaining([expect.stringMatching(why)]));
  });
});

const member = (name: string, state: MemberView['state']): MemberView =>
  ({
    name,
    state,
    job: state === 'Busy' ? { id: `${name}.job`, worker: 'w', user: 'u', lease: 'l', since: '' } : null,
  }) as MemberView;
const running = { members: [member('a', 'Busy'), member('b', 'Busy'), member('c', 'Free')] };
const preview = (...lines: string[]): StackPreview => ({
  stack: 'p-c001',
  changes: {},
  instances: [],
  lines,
});
const instance = 'openstack:compute/instance:Instance';

describe('rules about VMs that work', () => {
  it.each(['delete', 'replace', 'create-replacement', 'delete-replaced'])(
    'a step %s of a Busy VM fails, once',
    (op) => {
      const lines = [`${op} ${instance} a`, `${op} ${instance} a`, `${op} ${instance} c`];
      expect(busyInPreviews([preview(...lines)], running)).toEqual({
        faults: ['p-c001 would take a away from a.job, which runs on it'],
      });
    },
  );

  it('what leaves a VM where it is passes, a preview that failed does not', () => {
    const harmless = [
      `update ${instance} a`,
      `create ${instance} d`,
      `delete ${instance} c`,
      'delete x:y:Z a',
    ];
    expect(busyInPreviews([preview(...harmless)], running)).toHaveProperty('ok');
    expect(busyInPreviews([{ ...preview('locked'), changes: null }], running)).toEqual({
      faults: ['p-c001 cannot be previewed: locked'],
    });
  });

  it('a max below what is Busy is told, a max of 0 under jobs refused', () => {
    const shape = (max: number): Shape => ({ min: 0, max }) as Shape;
    expect(comparedWithRunning(shape(1), running)).toHaveProperty('note');
    expect(comparedWithRunning(shape(2), running)).toHaveProperty('ok');
    expect(comparedWithRunning(shape(0), running)).toHaveProperty('faults');
    expect(comparedWithRunning(shape(0), { members: [member('c', 'Free')] })).toHaveProperty('ok');
  });
});
