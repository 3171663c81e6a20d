import { describe, expect, it } from '@jest/globals';
import { parsePoolConfig } from '../../../stacks/pool-config.js';
import { readUserData } from '../../../src/embedded/sandbox/user-data.js';
import { generationOf, pinnedGeneration } from '../../../stacks/shape.js';

const adminKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKeyOfThePool pool@site';

const config = (changes: Record<string, string | undefined> = {}): Record<string, string> => {
  const values: Record<string, string | undefined> = {
    kind: 'pool',
    min: '1',
    max: '6',
    flavor: 'small',
    image: 'debian-vm',
    networks: '["net0","site0"]',
    adminKey,
    ...changes,
  };
  return Object.fromEntries(
    Object.entries(values).flatMap(([key, value]) => (value === undefined ? [] : [[`vmpool:${key}`, value]])),
  );
};

const errorsOf = (changes: Record<string, string | undefined>): readonly string[] => {
  const parsed = parsePoolConfig(config(changes));
  return parsed.ok ? [] : parsed.errors;
};

describe("a pool stack's config", () => {
  it('becomes the shape, with what is not set filled in', () => {
    const parsed = parsePoolConfig(config({ maxAge: '12h', spare: '2' }));
    expect(parsed).toMatchObject({
      ok: true,
      value: {
        shape: {
          min: 1,
          max: 6,
          spare: 2,
          maxAgeMs: 12 * 3_600_000,
          spec: {
            sshNetwork: 'net0',
            siteNetwork: 'net0',
            bootVolumeGiB: null,
            floatingIpPool: null,
            serverGroupPolicy: null,
            configDrive: false,
          },
        },
        services: {},
      },
    });
  });

  it('installs the admin key by a script of its own, or where the site wants it', () => {
    const own = parsePoolConfig(config());
    expect(own.ok && own.value.shape.spec.userData).toContain(`'${adminKey}' >> /root/.ssh/authorized_keys`);
    const sites = parsePoolConfig(config({ userData: '#cloud-config\nkeys: [@ADMIN_KEY@]\n' }));
    expect(sites.ok && sites.value.shape.spec.userData).toBe(`#cloud-config\nkeys: [${adminKey}]\n`);
  });

  it.each([
    ['#cloud-config\npackages: [htop]\n', 'text/cloud-config'],
    ['#!/bin/bash\ntrue\n', 'text/x-shellscript'],
    ['#include\nhttps://config.example/vm\n', 'text/x-include-url'],
    ['## template: jinja\n#cloud-config\n{}\n', 'text/jinja2'],
  ])(
    'merges the site\u2019s own user data with the script that installs the admin key: %j',
    (userData, type) => {
      const parsed = parsePoolConfig(config({ userData }));
      const text = parsed.ok ? parsed.value.shape.spec.userData : '';
      const boundary = /^Content-Type: multipart\/mixed; boundary="([^"]+)"\nMIME-Version: 1.0\n\n/.exec(
        text,
      )?.[1];
      const parts = text.split(`--${boundary ?? 'none'}`);
      expect(parts).toHaveLength(4);
      expect(parts[1]).toMatch(
        /^\nContent-Type: text\/x-shellscript; charset="utf-8"\nMIME-Version: 1.0\n\n#!\/bin\/sh\n/,
      );
      expect(parts[1]).toContain(`'${adminKey}' >> /root/.ssh/authorized_keys`);
      expect(parts[2]).toBe(`\nContent-Type: ${type}; charset="utf-8"\nMIME-Version: 1.0\n\n${userData}`);
      expect(parts[3]).toBe('--\n');
      expect(parsePoolConfig(config({ userData }))).toEqual(parsed);
    },
  );

  it('merges a site\u2019s message of several parts as a part of its own, which a guest reads whole', () => {
    const userData =
      'Content-Type: multipart/mixed; boundary="xx"\nMIME-Version: 1.0\n\n' +
      '--xx\nContent-Type: text/x-shellscript\n\n#!/bin/sh\necho one\n' +
      '--xx\nContent-Type: text/cloud-config\n\n#cloud-config\nruncmd: [echo two]\n--xx--\n';
    const parsed = parsePoolConfig(config({ userData }));
    const plan = readUserData(
      Buffer.from(parsed.ok ? parsed.value.shape.spec.userData : '').toString('base64'),
    );
    expect(plan.warnings).toEqual([]);
    expect(plan.scripts.map(String)).toEqual([
      expect.stringContaining(adminKey),
      expect.stringContaining('echo one'),
    ]);
    expect(plan.commands).toEqual(['echo two']);
  });

  it('says every error at once and names its key', () => {
    const errors = errorsOf({
      min: '7',
      spare: 'many',
      maxAge: '3 days',
      flavor: undefined,
      networks: '["net0","net0"]',
      siteNetwork: 'elsewhere',
      metadata: '{"vmpool_member":"x"}',
      configDrive: 'maybe',
      serverGroupPolicy: 'together',
      adminKey: 'not a key',
      securityGroup: 'default',
    });
    const keys = errors.map((error) => error.split(':')[1]).sort();
    expect(keys).toEqual(
      [
        'adminKey',
        'configDrive',
        'flavor',
        'maxAge',
        'metadata',
        'min',
        'networks',
        'securityGroup',
        'serverGroupPolicy',
        'siteNetwork',
        'spare',
      ].sort(),
    );
  });

  it.each([
    ['max', { max: undefined }],
    ['networks', { networks: undefined }],
    ['networks', { networks: '[]' }],
    ['networks', { networks: '"net0"' }],
    ['image', { image: ' ' }],
    ['adminKey', { adminKey: undefined }],
    ['adminKey', { adminKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI it's" }],
    ['userData', { userData: '-----BEGIN OPENSSH PRIVATE KEY-----' }],
    ['userData', { userData: 'x'.repeat(50_000) }],
    ['userData', { userData: 'just words' }],
    ['metadata', { metadata: '{"a":1}' }],
    ['bootVolumeGiB', { bootVolumeGiB: '-1' }],
  ])('refuses a wrong %s', (key, changes: Record<string, string | undefined>) => {
    expect(errorsOf(changes)).toEqual([expect.stringContaining(`vmpool:${key}: `)]);
  });
});

describe('a generation', () => {
  const shape = parsePoolConfig(config({ metadata: '{"a":"1","b":"2"}' }));
  if (!shape.ok) {
    throw new Error('the config of this test is wrong');
  }
  const { spec } = shape.value.shape;

  it('does not depend on the order of keys and is the same for ever', () => {
    const turned = Object.fromEntries(Object.entries(spec).reverse()) as unknown as typeof spec;
    expect(generationOf({ ...turned, metadata: { b: '2', a: '1' } })).toBe(generationOf(spec));
    // Members of running pools carry this hash: were it to change with a release, every pool would be rolled.
    expect(
      generationOf({
        flavor: 'f',
        image: 'i',
        networks: ['n'],
        sshNetwork: 'n',
        siteNetwork: 'n',
        securityGroups: [],
        availabilityZones: [],
        userData: '',
        metadata: {},
        configDrive: false,
        bootVolumeGiB: null,
        floatingIpPool: null,
        serverGroupPolicy: null,
      }),
    ).toBe('b4a946ac3e75');
  });

  it('of a resolved shape begins with the published one and changes with the ids, not with names or tags', () => {
    const pinned = { flavor: '1', image: 'i1', networks: [{ id: 'n1', name: 'net0' }], tags: true };
    const generation = pinnedGeneration('b4a946ac3e75', pinned);
    expect(generation).toBe('b4a946ac3e75-402c27');
    expect(
      pinnedGeneration('b4a946ac3e75', { ...pinned, tags: false, networks: [{ id: 'n1', name: 'renamed' }] }),
    ).toBe(generation);
    expect(pinnedGeneration('b4a946ac3e75', { ...pinned, image: 'i2' })).not.toBe(generation);
  });

  it.each([
    { flavor: 'large' },
    { image: 'other' },
    { userData: 'other' },
    { networks: ['site0', 'net0'] },
    { metadata: { a: '1' } },
  ])('changes with %j', (change) => {
    expect(generationOf({ ...spec, ...change })).not.toBe(generationOf(spec));
  });
});
