import { describe, expect, it } from '@jest/globals';
import type { Deployment, StateResource } from '../../../src/engine/deployment.js';
import {
  cellStateOf,
  lostIn,
  membersToRun,
  prepareState,
  unknownToState,
  type ListedAndRetiring,
} from '../../../src/engine/prepare.js';
import type { MemberName, MemberSpec } from '../../../src/pool/model.js';

const names = (list: readonly string[]): readonly MemberName[] => list as readonly MemberName[];
const urn = (type: string, name: string): string => `urn:pulumi:p-c001::vmpool::${type}::${name}`;
const instance = (name: string, more: Partial<StateResource> = {}): StateResource => {
  const type = 'openstack:compute/instance:Instance';
  return { urn: urn(type, name), type, id: `id-${name}`, protect: true, ...more };
};
const other = (type: string, name: string, protect = true): StateResource => ({ urn: urn(type, name), type, protect });
const group = 'openstack:compute/serverGroup:ServerGroup';
const floating = 'openstack:networking/floatingIp:FloatingIp';
const association = 'openstack:networking/floatingIpAssociate:FloatingIpAssociate';
const provider: StateResource = { urn: urn('pulumi:providers:openstack', 'default'), type: 'pulumi:providers:openstack' };

const wish = (members: readonly string[], retire: readonly string[] = [], groups: readonly string[] = []): ListedAndRetiring => ({
  members: names(members),
  retire: names(retire),
  serverGroups: groups,
});
const protection = (deployment: Deployment): Record<string, boolean | undefined> =>
  Object.fromEntries((deployment.resources ?? []).map((each) => [each.urn.slice(each.urn.lastIndexOf('::') + 2), each.protect]));

describe('the state before an update', () => {
  it('is left as it is when it says what the book says', () => {
    const deployment = { resources: [provider, instance('a'), instance('b')], secrets_providers: { type: 'passphrase' } };
    expect(prepareState(deployment, wish(['a', 'b']), [])).toEqual({
      deployment,
      changed: false,
      unlistedUrns: [],
    });
  });

  it('frees exactly what is retiring, with what belongs to it', () => {
    const deployment = {
      resources: [instance('a'), other(floating, 'a.floating-ip'), instance('b'), other(floating, 'b.floating-ip')],
    };
    const prepared = prepareState(deployment, wish(['b'], ['a']), []);
    expect(protection(prepared.deployment)).toEqual({ a: false, 'a.floating-ip': false, b: true, 'b.floating-ip': true });
    expect(prepared.changed).toBe(true);
  });

  it('protects again what somebody unprotected, listed or not', () => {
    const prepared = prepareState(
      { resources: [instance('a', { protect: false }), instance('x', { protect: false })] },
      wish(['a']),
      [],
    );
    expect(protection(prepared.deployment)).toEqual({ a: true, x: true });
    expect(prepared.unlistedUrns).toEqual([instance('x').urn]);
  });

  it('never frees a member that is listed and retiring at once', () => {
    expect(protection(prepareState({ resources: [instance('a')] }, wish(['a'], ['a']), []).deployment)).toEqual({ a: true });
  });

  it('loses pending operations, and names the creates among them', () => {
    const pending = [
      { type: 'creating', resource: instance('a') },
      { type: 'deleting', resource: instance('b') },
      { type: 'creating', resource: other(floating, 'c.floating-ip') },
      { type: 'creating', resource: other(association, 'd.floating-ip-association') },
      { type: 'creating', resource: other(group, 'server-group.affinity') },
    ];
    const deployment = { resources: [instance('b')], pending_operations: pending };
    // Setting an association twice is setting it once: `d` is simply tried again.
    expect(lostIn(deployment)).toEqual(['a', 'c']);
    const prepared = prepareState(deployment, wish(['d'], ['b']), names(['a', 'c']));
    expect(prepared.deployment).not.toHaveProperty('pending_operations');
  });

  it('releases the floating IP of a member whose server was lost, listed or not, and no other', () => {
    const resources = [
      other(floating, 'a.floating-ip'),
      instance('b'),
      other(floating, 'b.floating-ip'),
      other(floating, 'x.floating-ip'),
    ];
    const prepared = prepareState({ resources }, wish(['b']), names(['a', 'b']));
    expect(protection(prepared.deployment)).toEqual({
      'a.floating-ip': false,
      b: true,
      'b.floating-ip': true,
      'x.floating-ip': true,
    });
    expect(prepared.unlistedUrns).toEqual([urn(floating, 'x.floating-ip')]);
  });

  it('leaves out whose server was lost, and keeps without a floating IP whose floating IP was', () => {
    const spec = { floatingIpPool: 'public' } as MemberSpec;
    const member = (name: string) => ({ name: name as MemberName, spec });
    const deployment = { resources: [instance('b'), instance('c'), other(floating, 'c.floating-ip')] };
    const run = membersToRun(['a', 'b', 'c', 'd'].map(member), names(['a', 'b', 'c']), deployment);
    expect(run.map(({ name, spec: { floatingIpPool } }) => `${name} ${String(floatingIpPool)}`)).toEqual([
      'b null',
      'c public',
      'd public',
    ]);
  });

  it('takes a failed create for made, so that it is never updated', () => {
    const prepared = prepareState({ resources: [instance('a', { initErrors: ['timed out'] })] }, wish(['a']), []);
    expect(prepared.changed).toBe(true);
    expect(prepared.deployment.resources?.[0]).not.toHaveProperty('initErrors');
  });

  it('lets a server group go only when no member needs it and nothing unlisted may be in it', () => {
    const resources = [other(group, 'server-group.affinity'), instance('a')];
    expect(protection(prepareState({ resources }, wish([], ['a']), []).deployment)['server-group.affinity']).toBe(false);
    expect(
      protection(prepareState({ resources }, wish(['a'], [], ['server-group.affinity']), []).deployment)[
        'server-group.affinity'
      ],
    ).toBe(true);
    const unlisted = prepareState({ resources }, wish([]), []);
    expect(protection(unlisted.deployment)).toEqual({ 'server-group.affinity': true, a: true });
    expect(unlisted.unlistedUrns).toHaveLength(2);
  });
});

it('a server that the book knows is not created again where an earlier state lacks it', () => {
  const deployment = { resources: [instance('a')] };
  const members = [
    { name: 'a', made: true },
    { name: 'b', made: true },
    { name: 'c', made: false },
  ].map((member) => ({ ...member, name: member.name as MemberName }));
  expect(unknownToState(members, deployment)).toEqual(['b']);
  expect(unknownToState(members, {})).toEqual(['a', 'b']);
});

describe('what the state says afterwards', () => {
  it('tells known, lost and unlisted members apart', () => {
    const deployment = {
      resources: [instance('a'), instance('x'), instance('found')],
      pending_operations: [{ type: 'creating', resource: instance('now') }],
    };
    expect(cellStateOf(deployment, wish(['a', 'now'], ['found']), names(['before', 'found']))).toEqual({
      instances: ['a', 'x', 'found'].map((member) => ({ member, serverId: `id-${member}` })),
      lostCreates: ['before', 'now'],
      unlisted: ['x'],
    });
  });
});
