import { z } from 'zod';

/** As Keystone's catalog names their types, with the version that Neutron's and Glance's addresses there lack. */
const versions = { compute: '', network: '/v2.0', image: '/v2', volumev3: '' } as const;
export type ApiService = keyof typeof versions;

const login = z.object({
  token: z.object({
    catalog: z.array(
      z.object({
        type: z.string(),
        endpoints: z.array(z.object({ interface: z.string(), region: z.string(), url: z.string() })),
      }),
    ),
  }),
});

/**
 * What an ordinary user sees of a cloud, by plain calls of its APIs: for tests of what the product or the provider says,
 * which therefore have no part in it.
 */
export class PlainApi {
  readonly #token: string;
  readonly #addresses: ReadonlyMap<string, string>;

  private constructor(token: string, addresses: ReadonlyMap<string, string>) {
    this.#token = token;
    this.#addresses = addresses;
  }

  /** `env`: OS_* variables of a user with a password. */
  static async signIn(env: Readonly<Record<string, string>>): Promise<PlainApi> {
    const domain = { name: env['OS_USER_DOMAIN_NAME'] };
    const user = { name: env['OS_USERNAME'], domain, password: env['OS_PASSWORD'] };
    const answer = await fetch(`${env['OS_AUTH_URL'] ?? ''}/auth/tokens`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        auth: {
          identity: { methods: ['password'], password: { user } },
          scope: {
            project: { name: env['OS_PROJECT_NAME'], domain: { name: env['OS_PROJECT_DOMAIN_NAME'] } },
          },
        },
      }),
    });
    const token = answer.headers.get('x-subject-token');
    if (token === null) throw new Error(`cannot sign in: ${await answer.text()}`);
    const { catalog } = login.parse(await answer.json()).token;
    const here = ({ interface: kind, region }: { interface: string; region: string }): boolean =>
      kind === 'public' && region === (env['OS_REGION_NAME'] ?? region);
    const addresses = catalog.flatMap(({ type, endpoints }) => {
      const url = endpoints.find(here)?.url;
      return url === undefined ? [] : [[type, url.replace(/\/$/, '')] as const];
    });
    return new PlainApi(token, new Map(addresses));
  }

  /** Rejects on what is not 2xx. `path` is below the service's version. */
  async call(service: ApiService, method: string, path: string, body?: unknown): Promise<unknown> {
    const what = `${method} ${service} ${path}`;
    const answer = await this.#answer(service, method, path, body);
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${what} answered ${String(answer.status)}: ${text}`);
    return text === '' ? null : (JSON.parse(text) as unknown);
  }

  /** Status of the answer to a GET. */
  async status(service: ApiService, path: string): Promise<number> {
    return (await this.#answer(service, 'GET', path)).status;
  }

  #answer(service: ApiService, method: string, path: string, body?: unknown): Promise<Response> {
    const address = this.#addresses.get(service);
    if (address === undefined) throw new Error(`the catalog has no ${service}`);
    return fetch(`${address}${versions[service]}${path}`, {
      method,
      headers: {
        'content-type': 'application/json',
        'x-auth-token': this.#token,
        // Shows a server's tags and group, and a group's one policy; Train's, so that most clouds have it.
        'x-openstack-nova-api-version': '2.79',
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }
}
