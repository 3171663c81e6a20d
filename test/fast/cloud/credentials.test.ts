import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { resolveCredentials } from '../../../src/cloud/credentials.js';
import type { Auth } from '../../../src/cloud/credentials.js';

const files = (contents: Record<string, string> = {}) => ({
  cwd: '/run/here',
  home: '/home/alice',
  read: (file: string) => contents[file] ?? null,
});

function good(env: Record<string, string>, contents: Record<string, string> = {}): Auth {
  const result = resolveCredentials(env, files(contents));
  if (!result.ok) throw new Error(result.errors.join('; '));
  return result.auth;
}

function bad(env: Record<string, string>, contents: Record<string, string> = {}): string {
  const result = resolveCredentials(env, files(contents));
  if (result.ok) throw new Error('resolved, though it should not');
  return result.errors.join('\n');
}

const base = { OS_AUTH_URL: 'https://keystone.example/v3' };
const alice = { ...base, OS_USERNAME: 'alice', OS_PASSWORD: 'pw' };

describe('credentials from OS_* variables', () => {
  it.each<[string, Record<string, string>, Auth['identity'], Auth['scope']]>([
    [
      'user and project by name take the domain "default" where none is named',
      { ...alice, OS_PROJECT_NAME: 'demo' },
      {
        methods: ['password'],
        password: { user: { name: 'alice', password: 'pw', domain: { id: 'default' } } },
      },
      { project: { name: 'demo', domain: { id: 'default' } } },
    ],
    [
      'domains by name',
      { ...alice, OS_PROJECT_NAME: 'demo', OS_USER_DOMAIN_NAME: 'People', OS_PROJECT_DOMAIN_NAME: 'Work' },
      {
        methods: ['password'],
        password: { user: { name: 'alice', password: 'pw', domain: { name: 'People' } } },
      },
      { project: { name: 'demo', domain: { name: 'Work' } } },
    ],
    [
      'OS_DOMAIN_NAME stands in for both domains',
      { ...alice, OS_PROJECT_NAME: 'demo', OS_DOMAIN_NAME: 'Site' },
      {
        methods: ['password'],
        password: { user: { name: 'alice', password: 'pw', domain: { name: 'Site' } } },
      },
      { project: { name: 'demo', domain: { name: 'Site' } } },
    ],
    [
      'OS_DEFAULT_DOMAIN is an id',
      { ...alice, OS_TENANT_NAME: 'demo', OS_DEFAULT_DOMAIN: 'd7' },
      { methods: ['password'], password: { user: { name: 'alice', password: 'pw', domain: { id: 'd7' } } } },
      { project: { name: 'demo', domain: { id: 'd7' } } },
    ],
    [
      'the project by id needs no domain; the tenant’s name for it comes first',
      { ...alice, OS_TENANT_ID: 't1', OS_PROJECT_ID: 'p1', OS_PROJECT_NAME: 'demo' },
      {
        methods: ['password'],
        password: { user: { name: 'alice', password: 'pw', domain: { id: 'default' } } },
      },
      { project: { id: 't1' } },
    ],
    [
      'user by id in a domain’s scope',
      { ...base, OS_USER_ID: 'u1', OS_PASSWORD: 'pw', OS_DOMAIN_ID: 'd1' },
      { methods: ['password'], password: { user: { id: 'u1', password: 'pw' } } },
      { domain: { id: 'd1' } },
    ],
    [
      'an application credential by id asks for no scope',
      {
        ...base,
        OS_APPLICATION_CREDENTIAL_ID: 'c1',
        OS_APPLICATION_CREDENTIAL_SECRET: 's',
        OS_PROJECT_NAME: 'x',
      },
      { methods: ['application_credential'], application_credential: { id: 'c1', secret: 's' } },
      null,
    ],
    [
      'an application credential by name with its user',
      {
        ...base,
        OS_APPLICATION_CREDENTIAL_NAME: 'pool',
        OS_APPLICATION_CREDENTIAL_SECRET: 's',
        OS_USERNAME: 'alice',
        OS_USER_DOMAIN_NAME: 'People',
      },
      {
        methods: ['application_credential'],
        application_credential: {
          name: 'pool',
          secret: 's',
          user: { name: 'alice', domain: { name: 'People' } },
        },
      },
      null,
    ],
    [
      'an application credential by name with its user’s id',
      {
        ...base,
        OS_APPLICATION_CREDENTIAL_NAME: 'pool',
        OS_APPLICATION_CREDENTIAL_SECRET: 's',
        OS_USER_ID: 'u1',
      },
      {
        methods: ['application_credential'],
        application_credential: { name: 'pool', secret: 's', user: { id: 'u1' } },
      },
      null,
    ],
    [
      'a token wins over user and password',
      { ...alice, OS_TOKEN: 't', OS_AUTH_TOKEN: 'other', OS_PROJECT_ID: 'p1' },
      { methods: ['token'], token: { id: 't' } },
      { project: { id: 'p1' } },
    ],
  ])('%s', (_, env, identity, scope) => {
    const auth = good(env);
    expect(auth.identity).toEqual(identity);
    expect(auth.scope).toEqual(scope);
    expect(auth.interface).toBe('public');
  });

  it.each<[string, Record<string, string>, RegExp]>([
    ['nothing at all', {}, /set OS_CLOUD .* or OS_AUTH_URL[\s\S]*there are no credentials/],
    ['no password', { ...base, OS_USERNAME: 'alice' }, /set OS_PASSWORD/],
    ['a password without user', { ...base, OS_PASSWORD: 'x' }, /without a user/],
    ['user by name and id', { ...alice, OS_USER_ID: 'u1' }, /by name and by id/],
    [
      'user by id with a project',
      { ...base, OS_USER_ID: 'u1', OS_PASSWORD: 'x', OS_PROJECT_ID: 'p' },
      /by id together with a domain/,
    ],
    [
      'the domain twice',
      { ...alice, OS_PROJECT_ID: 'p', OS_USER_DOMAIN_ID: 'a', OS_USER_DOMAIN_NAME: 'b' },
      /domain is given by name and by id/,
    ],
    ['a credential without secret', { ...base, OS_APPLICATION_CREDENTIAL_ID: 'c' }, /without its secret/],
    [
      'a credential by name without user',
      { ...base, OS_APPLICATION_CREDENTIAL_NAME: 'c', OS_APPLICATION_CREDENTIAL_SECRET: 's' },
      /without its user/,
    ],
    ['a token without a project', { ...base, OS_TOKEN: 't' }, /OS_ALLOW_REAUTH=false/],
    ['Keystone v2', { ...alice, OS_AUTH_URL: 'http://k/v2.0' }, /only 3 is spoken/],
    ['an address that is none', { ...alice, OS_AUTH_URL: 'keystone:5000' }, /not an http/],
    [
      'credentials inside the address',
      { ...alice, OS_AUTH_URL: 'http://a:hunter22@k/v3' },
      /without user and password/,
    ],
    ['an interface that is none', { ...alice, OS_ENDPOINT_TYPE: 'inner' }, /public, internal or admin/],
    [
      'an interface named like a property',
      { ...alice, OS_ENDPOINT_TYPE: 'constructor' },
      /public, internal or admin/,
    ],
    ['a switch that is no boolean', { ...alice, OS_INSECURE: 'maybe' }, /OS_INSECURE must be/],
    ['a missing authority', { ...alice, OS_CACERT: '/no/ca.pem' }, /no\/ca.pem, which cannot be read/],
    ['a cloud without clouds.yaml', { OS_CLOUD: 'c' }, /\/home\/alice\/\.config\/openstack\/clouds\.yaml/],
  ])('refuses %s and says what to do', (_, env, message) => {
    expect(bad(env)).toMatch(message);
    expect(bad(env)).not.toContain('hunter22');
  });

  it('names every error at once', () => {
    expect(
      bad({ ...base, OS_USERNAME: 'a', OS_ENDPOINT_TYPE: 'x', OS_INSECURE: 'y' }).split('\n'),
    ).toHaveLength(3);
  });

  it('uses a token as it is when it must not be renewed', () => {
    const auth = good({ ...base, OS_TOKEN: 't', OS_ALLOW_REAUTH: 'false' });
    expect(auth.passThrough).toBe(true);
  });

  it('warns of an interface that the engine’s provider does not look at', () => {
    const auth = good({ ...alice, OS_PROJECT_ID: 'p', OS_INTERFACE: 'internal' });
    expect(auth.interface).toBe('public');
    expect(auth.warnings.join()).toContain('set OS_ENDPOINT_TYPE');
    expect(good({ ...alice, OS_PROJECT_ID: 'p', OS_ENDPOINT_TYPE: 'internalURL' }).interface).toBe(
      'internal',
    );
  });
});

describe('credentials from clouds.yaml', () => {
  const at = '/home/alice/.config/openstack/clouds.yaml';
  const simple = `
clouds:
  site:
    auth:
      auth_url: https://keystone.example/v3
      username: alice
      password: 0123
      project_id: 12345
      user_domain_name: People
    region_name: One
    verify: no
    interface: internal
`;

  it('keeps digits as written, and takes region and verify', () => {
    const auth = good({ OS_CLOUD: 'site' }, { [at]: simple });
    expect(auth.identity).toEqual({
      methods: ['password'],
      password: { user: { name: 'alice', password: '0123', domain: { name: 'People' } } },
    });
    expect(auth.scope).toEqual({ project: { id: '12345' } });
    expect(auth.region).toBe('One');
    expect(auth.tls.verify).toBe(false);
    expect(auth.interface).toBe('public');
    expect(auth.source).toContain(at);
  });

  it('lets region, insecure and authority of the environment win, but not user and project', () => {
    const auth = good(
      {
        OS_CLOUD: 'site',
        OS_REGION_NAME: 'Two',
        OS_INSECURE: 'false',
        OS_CACERT: '~/ca.pem',
        OS_USERNAME: 'mallory',
        OS_PROJECT_ID: 'other',
      },
      { [at]: simple, '/home/alice/ca.pem': '-----BEGIN CERTIFICATE-----' },
    );
    expect(auth.region).toBe('Two');
    expect(auth.tls).toEqual({ verify: true, ca: '-----BEGIN CERTIFICATE-----', client: null });
    expect(JSON.stringify(auth.identity)).not.toContain('mallory');
    expect(auth.scope).toEqual({ project: { id: '12345' } });
  });

  it('fills what the entry leaves out from the environment, the last name first', () => {
    const yaml = 'clouds: {c: {auth: {auth_url: "http://k/v3", username: u, user_domain_id: default}}}';
    const auth = good(
      { OS_CLOUD: 'c', OS_PASSWORD: 'pw', OS_TENANT_ID: 't1', OS_PROJECT_ID: 'p1' },
      { [at]: yaml },
    );
    expect(auth.scope).toEqual({ project: { id: 'p1' } });
    expect(auth.secrets).toEqual(['pw']);
  });

  it('adds no default domain to an entry', () => {
    const yaml = 'clouds: {c: {auth: {auth_url: "http://k/v3", username: u, password: p, project_name: x}}}';
    expect(bad({ OS_CLOUD: 'c' }, { [at]: yaml })).toMatch(/without its domain[\s\S]*without a domain/);
  });

  it('takes a user by id, which OS_* variables cannot', () => {
    const yaml = 'clouds: {c: {auth: {auth_url: "http://k/v3", user_id: u, password: p, project_id: x}}}';
    expect(good({ OS_CLOUD: 'c' }, { [at]: yaml }).identity).toEqual({
      methods: ['password'],
      password: { user: { id: 'u', password: 'p' } },
    });
  });

  it('merges secure.yaml over it and a public profile under it', () => {
    const auth = good(
      { OS_CLOUD: 'c' },
      {
        [at]: 'clouds: {c: {profile: big, auth: {username: u, project_id: p}}}',
        '/etc/openstack/clouds-public.yaml':
          'public-clouds: {big: {auth: {auth_url: "https://big/v3", user_domain_id: d, username: x}, region_name: R}}',
        '/run/here/secure.yml':
          'clouds: {c: {auth: {password: hidden, username: ""}}, other: {auth: {password: no}}}',
      },
    );
    expect(auth.identity).toEqual({
      methods: ['password'],
      password: { user: { name: 'u', password: 'hidden', domain: { id: 'd' } } },
    });
    expect(auth.authUrl).toBe('https://big/v3');
    expect(auth.region).toBe('R');
  });

  it('takes a region’s own values when the region is named in the environment', () => {
    const yaml = `
clouds:
  c:
    auth: {auth_url: "http://one/v3", username: u, password: p, user_domain_id: d, project_id: x}
    regions: [plain, {name: Two, values: {auth: {auth_url: "http://two/v3"}}}]
`;
    expect(good({ OS_CLOUD: 'c', OS_REGION_NAME: 'Two' }, { [at]: yaml }).authUrl).toBe('http://two/v3');
    expect(good({ OS_CLOUD: 'c', OS_REGION_NAME: 'plain' }, { [at]: yaml }).authUrl).toBe('http://one/v3');
  });

  it('searches the named file, the current directory, the home and /etc, and warns of the current directory', () => {
    const of = (url: string) =>
      `clouds: {c: {auth: {auth_url: "http://${url}/v3", username: u, password: p, user_domain_id: d, project_id: x}}}`;
    const all = {
      '/some/where.yaml': of('named'),
      '/run/here/clouds.yaml': of('cwd'),
      [at]: of('home'),
      '/etc/openstack/clouds.yaml': of('etc'),
    };
    const env = { OS_CLOUD: 'c' };
    expect(good({ ...env, OS_CLIENT_CONFIG_FILE: '/some/where.yaml' }, all).authUrl).toBe('http://named/v3');
    expect(good({ ...env, OS_CLIENT_CONFIG_FILE: '/gone.yaml' }, all).authUrl).toBe('http://cwd/v3');
    expect(good(env, all).warnings.join()).toContain('current directory');
    expect(good(env, { [at]: of('home'), '/etc/openstack/clouds.yaml': of('etc') }).authUrl).toBe(
      'http://home/v3',
    );
    expect(good(env, { '/etc/openstack/clouds.yml': of('etc') }).authUrl).toBe('http://etc/v3');
  });

  it.each<[string, Record<string, string>, RegExp]>([
    ['an unknown cloud', { [at]: simple }, /which .*clouds\.yaml does not have \(it has: site\)/],
    [
      'broken YAML, without showing it',
      { [at]: 'clouds:\n  a: [hunter22\n  b: "x' },
      /is not valid YAML \(.*line \d/,
    ],
    [
      'an alias without its anchor, without showing the file',
      { [at]: '*hunter22 :' },
      /has an alias .* that cannot be resolved/,
    ],
    [
      'an entry within itself',
      { [at]: 'clouds:\n  toString: &a\n    auth: *a\n' },
      /has an alias .* that cannot be resolved/,
    ],
    ['a profile that nothing has', { [at]: 'clouds: {toString: {profile: p}}' }, /names the profile "p"/],
  ])('refuses %s', (_, contents, message) => {
    const text = bad({ OS_CLOUD: 'toString' }, contents);
    expect(text).toMatch(message);
    expect(text).not.toContain('hunter22');
  });
});

describe('any environment', () => {
  const names = [
    'OS_AUTH_URL',
    'OS_TOKEN',
    'OS_USERNAME',
    'OS_USER_ID',
    'OS_PASSWORD',
    'OS_PROJECT_ID',
    'OS_PROJECT_NAME',
    'OS_DOMAIN_ID',
    'OS_DOMAIN_NAME',
    'OS_USER_DOMAIN_NAME',
    'OS_PROJECT_DOMAIN_ID',
    'OS_INSECURE',
    'OS_CLOUD',
    'OS_APPLICATION_CREDENTIAL_ID',
    'OS_APPLICATION_CREDENTIAL_SECRET',
    'OS_CACERT',
    'OS_ENDPOINT_TYPE',
  ];
  const secret = 'S3CRET';
  const value = fc.constantFrom('', 'x', 'true', 'http://k/v3', 'public');

  it('resolves or names errors, never throws, and never shows a secret', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), value), fc.string(), (picked, yaml) => {
        const env: Record<string, string> = { ...picked };
        for (const name of ['OS_PASSWORD', 'OS_TOKEN', 'OS_APPLICATION_CREDENTIAL_SECRET']) {
          if ((env[name] ?? '') !== '') env[name] = secret;
        }
        const result = resolveCredentials(env, files({ '/run/here/clouds.yaml': yaml }));
        const shown = result.ok ? [result.auth.source, ...result.auth.warnings] : result.errors;
        expect(shown.join()).not.toContain(secret);
        if (!result.ok) expect(result.errors.length).toBeGreaterThan(0);
      }),
      { numRuns: 1000 },
    );
  });
});
