import { describe, expect, it } from '@jest/globals';
import { parsePoolConfig } from '../../../stacks/pool-config.js';
import { generationOf } from '../../../stacks/shape.js';

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
    });
  });

  it('installs the admin key by a script of its own, or where the site wants it', () => {
    const own = parsePoolConfig(config());
    expect(own.ok && own.value.spec.userData).toContain(`'${adminKey}' >> /root/.ssh/authorized_keys`);
    const sites = parsePoolConfig(config({ userData: '#cloud-config\nkeys: [@ADMIN_KEY@]\n' }));
    expect(sites.ok && sites.value.spec.userData).toBe(`#cloud-config\nkeys: [${adminKey}]\n`);
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
  const { spec } = shape.value;

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
