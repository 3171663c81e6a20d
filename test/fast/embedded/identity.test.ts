import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ApiBench, type Answer } from './bench.js';

describe('Keystone', () => {
  let bench: ApiBench;
  beforeEach(async () => {
    bench = await ApiBench.start({ tokenLifetimeS: 600 });
  });
  afterEach(() => bench.stop());

  const authenticate = (identity: object, scope?: object | string): Promise<Answer> =>
    bench.call('POST', '/identity/v3/auth/tokens', {
      token: '',
      body: { auth: { identity, ...(scope !== undefined && { scope }) } },
    });
  const password = (user: object): object => ({
    methods: ['password'],
    password: { user: { password: 'secret', ...user } },
  });

  it('tells its versions without a token', async () => {
    const root = await bench.call('GET', '/identity', { token: '' });
    expect(root.status).toBe(300);
    expect(root.body).toMatchObject({ versions: { values: [{ id: 'v3.14', status: 'stable' }] } });
    expect((await bench.call('GET', '/identity/v3', { token: '' })).body).toMatchObject({
      version: { id: 'v3.14' },
    });
    expect((await bench.call('GET', '/identity/v3/auth/projects', { token: '' })).status).toBe(401);
  });

  it('scopes tokens to a project, a domain, or nothing; only scoped ones carry the catalog', async () => {
    const scoped = await authenticate(password({ name: 'demo', domain: { id: 'default' } }), {
      project: { name: 'demo', domain: { name: 'Default' } },
    });
    expect(scoped.status).toBe(201);
    expect(scoped.body).toMatchObject({
      token: {
        methods: ['password'],
        project: { name: 'demo' },
        user: { name: 'demo', domain: { id: 'default' } },
        catalog: expect.arrayContaining([
          expect.objectContaining({
            type: 'compute',
            endpoints: expect.arrayContaining([
              expect.objectContaining({
                interface: 'public',
                region: 'RegionOne',
                url: `${bench.origin}/compute/v2.1`,
              }),
            ]),
          }),
        ]),
      },
    });
    const domain = await authenticate(password({ name: 'admin', domain: { name: 'Default' } }), {
      domain: { id: 'default' },
    });
    expect(domain.body).toMatchObject({ token: { domain: { id: 'default' } } });
    const unscoped = await authenticate(password({ name: 'demo', domain: { id: 'default' } }), 'unscoped');
    expect(unscoped.body['token']).not.toHaveProperty('catalog');
    const refused = await bench.call('GET', '/compute/v2.1/servers', {
      token: unscoped.headers.get('x-subject-token') ?? '',
    });
    expect(refused.status).toBe(403);
  });

  it('refuses wrong passwords, unknown users and foreign projects alike', async () => {
    for (const [user, scope] of [
      [{ name: 'demo', domain: { id: 'default' }, password: 'guess' }, undefined],
      [{ name: 'nobody', domain: { id: 'default' } }, undefined],
      [
        { name: 'demo', domain: { id: 'default' } },
        { project: { name: 'admin', domain: { id: 'default' } } },
      ],
    ] as const) {
      const answer = await authenticate(password(user), scope);
      expect(answer.status).toBe(401);
      expect(answer.body).toEqual({
        error: {
          code: 401,
          title: 'Unauthorized',
          message: 'The request you have made requires authentication.',
        },
      });
    }
  });

  it('shows, rescopes and ends tokens, and lets them expire', async () => {
    const token = await bench.login('demo');
    const headers = { 'X-Subject-Token': token };
    expect((await bench.call('GET', '/identity/v3/auth/tokens', { headers })).status).toBe(200);
    expect((await bench.call('HEAD', '/identity/v3/auth/tokens', { headers })).status).toBe(200);
    const again = await authenticate(
      { methods: ['token'], token: { id: token } },
      { project: { name: 'demo', domain: { id: 'default' } } },
    );
    expect(again.status).toBe(201);
    expect((await bench.call('DELETE', '/identity/v3/auth/tokens', { headers })).status).toBe(204);
    expect((await bench.nova('GET', '/servers', { token })).status).toBe(401);
    expect((await bench.nova('GET', '/servers')).status).toBe(200);
    await bench.clock.advance(601_000);
    const expired = await bench.nova('GET', '/servers');
    expect(expired.status).toBe(401);
    expect(expired.body).toMatchObject({ error: { code: 401 } });
    expect(expired.headers.get('www-authenticate')).toBe(`Keystone uri="${bench.origin}/identity"`);
  });

  it('takes application credentials, which cannot make others unless they are unrestricted', async () => {
    const { id, secret } = await bench.control.createApplicationCredential({ name: 'pool' });
    const answer = await authenticate({
      methods: ['application_credential'],
      application_credential: { id, secret },
    });
    expect(answer.body).toMatchObject({
      token: { project: { name: 'demo' }, application_credential: { id, restricted: true } },
    });
    const token = answer.headers.get('x-subject-token') ?? '';
    expect((await bench.nova('GET', '/servers', { token })).status).toBe(200);
    const made = await bench.call('POST', '/identity/v3/users/me/application_credentials', {
      token,
      body: { application_credential: { name: 'more' } },
    });
    expect(made.status).toBe(403);
    const named = {
      methods: ['application_credential'],
      application_credential: { name: 'pool', secret, user: { name: 'demo', domain: { id: 'default' } } },
    };
    expect((await authenticate(named)).status).toBe(201);
    expect(
      (
        await authenticate({
          methods: ['application_credential'],
          application_credential: { id, secret: 'wrong' },
        })
      ).status,
    ).toBe(401);
  });
});
