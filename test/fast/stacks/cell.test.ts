import { describe, expect, it } from '@jest/globals';
import { identityKeys } from '../../../src/cloud/port.js';
import type { CellName, InstallationId, MemberName, MemberSpec } from '../../../src/pool/model.js';
import { cellConfigValues, parseCellConfig, type CellConfig } from '../../../stacks/cell-config.js';
import { memberOfResource, planCell } from '../../../stacks/cell-plan.js';

const spec: MemberSpec = {
  flavor: 'small',
  image: '0c0c0c0c-1111-4222-8333-444444444444',
  networks: ['net0', 'site0'],
  sshNetwork: 'site0',
  siteNetwork: 'site0',
  securityGroups: ['default'],
  availabilityZones: ['a', 'b', 'c'],
  userData: '#!/bin/sh\n',
  metadata: { owner: 'site' },
  configDrive: true,
  bootVolumeGiB: null,
  floatingIpPool: 'public',
  serverGroupPolicy: 'anti-affinity',
};

const config: CellConfig = {
  installation: 'inst' as InstallationId,
  pool: 'p',
  cell: 'c001' as CellName,
  timeoutSeconds: 600,
  members: ['p-4-aa', 'p-5-bb'].map((name) => ({ name: name as MemberName, generation: 'g1', spec })),
};

/** As Pulumi hands a config file's values to the program. */
const raw = (values: Readonly<Record<string, unknown>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(values).map(([key, value]) => [
      key,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]),
  );

describe("a cell's config", () => {
  it('survives being written and read', () => {
    expect(parseCellConfig(raw(cellConfigValues(config)))).toEqual({ ok: true, value: config });
  });

  it('holds of each member what the program reads, and nothing that the engine knows besides', () => {
    const members = config.members.map((member) => ({ ...member, made: true }));
    expect(parseCellConfig(raw(cellConfigValues({ ...config, members })))).toEqual({
      ok: true,
      value: config,
    });
  });

  it('with no member list is refused, and an empty list must be explicit', () => {
    const { 'vmpool:members': _members, ...without } = cellConfigValues(config);
    expect(parseCellConfig(raw(without))).toMatchObject({
      ok: false,
      errors: [expect.stringContaining('A missing list never means zero members')],
    });
    expect(parseCellConfig(raw({ ...without, 'vmpool:members': '' }))).toMatchObject({ ok: false });
    expect(parseCellConfig(raw({ ...without, 'vmpool:members': [] }))).toMatchObject({ ok: true });
  });

  it('with a damaged list, a name twice or without its identity is refused', () => {
    const values = cellConfigValues(config);
    for (const members of ['{', 'null', [{ name: 'p-1-aa' }], [config.members[0], config.members[0]]]) {
      expect(parseCellConfig(raw({ ...values, 'vmpool:members': members }))).toMatchObject({ ok: false });
    }
    expect(parseCellConfig(raw({ ...values, 'vmpool:installation': '' }))).toMatchObject({
      ok: false,
      errors: [expect.stringContaining('vmpool:installation')],
    });
  });
});

describe("a cell's plan", () => {
  const plan = planCell(config);

  it('names each server after its member and gives it its identity', () => {
    expect(plan.instances.map(({ resource }) => resource)).toEqual(['p-4-aa', 'p-5-bb']);
    expect(plan.instances[0]?.args).toMatchObject({
      name: 'p-4-aa',
      flavor: { kind: 'name', name: 'small' },
      image: { kind: 'id', id: spec.image },
      networks: [
        { kind: 'name', name: 'net0' },
        { kind: 'name', name: 'site0' },
      ],
      metadata: {
        owner: 'site',
        [identityKeys.installation]: 'inst',
        [identityKeys.pool]: 'p',
        [identityKeys.member]: 'p-4-aa',
        [identityKeys.cell]: 'c001',
        [identityKeys.generation]: 'g1',
      },
      tags: ['vmpool', 'inst'],
    });
    expect(plan.timeout).toBe('600s');
  });

  it('never lets the site overwrite the identity', () => {
    const member = {
      name: 'p-4-aa' as MemberName,
      generation: 'g1',
      spec: { ...spec, metadata: { vmpool_member: 'x' } },
    };
    expect(planCell({ ...config, members: [member] }).instances[0]?.args.metadata['vmpool_member']).toBe(
      'p-4-aa',
    );
  });

  it('goes by the pinned ids where there are some, and leaves tags out where the cloud takes none', () => {
    const pinned = {
      flavor: '1',
      image: 'i1',
      networks: spec.networks.map((name) => ({ id: `id-of-${name}`, name })),
      tags: false,
    };
    const member = { name: 'p-4-aa' as MemberName, generation: 'g1', spec: { ...spec, pinned } };
    expect(planCell({ ...config, members: [member] }).instances[0]?.args).toMatchObject({
      flavor: { kind: 'id', id: '1' },
      image: { kind: 'id', id: 'i1' },
      networks: [
        { kind: 'id', id: 'id-of-net0' },
        { kind: 'id', id: 'id-of-site0' },
      ],
      tags: [],
    });
  });

  it("gives a member's zone by its own number, whatever the others are", () => {
    expect(plan.instances.map(({ args }) => args.availabilityZone)).toEqual(['b', 'c']);
    expect(
      planCell({ ...config, members: config.members.slice(1) }).instances[0]?.args.availabilityZone,
    ).toBe('c');
  });

  it('has one group for each policy, and a floating IP on the SSH network of each member', () => {
    expect(plan.serverGroups).toEqual([
      { resource: 'server-group.anti-affinity', name: 'p-c001-anti-affinity', policy: 'anti-affinity' },
    ]);
    expect(plan.instances[0]?.floatingIp).toEqual({
      resource: 'p-4-aa.floating-ip',
      association: 'p-4-aa.floating-ip-association',
      description: 'vmpool inst p-4-aa',
      pool: 'public',
      interfaceIndex: 1,
    });
  });

  it('tells from a resource whose it is', () => {
    expect(memberOfResource('p-4-aa')).toBe('p-4-aa');
    expect(memberOfResource('p-4-aa.floating-ip')).toBe('p-4-aa');
    expect(memberOfResource('p-4-aa.floating-ip-association')).toBe('p-4-aa');
    expect(memberOfResource('server-group.affinity')).toBeNull();
  });
});
