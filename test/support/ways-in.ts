import { stringify } from 'yaml';

/** What a way in may be made of: facts of one started cloud. */
export interface CloudFacts {
  readonly authUrl: string;
  readonly password: string;
  readonly userId: string;
  readonly projectId: string;
  /** A token of the user for the project, for those that bring one. */
  readonly token: string;
  readonly credential: { readonly id: string; readonly name: string; readonly secret: string };
  readonly caFile: string;
  readonly ca: string;
}

/** Which cloud it leads to: plain HTTP, HTTPS of a private authority, an old or a new Nova. */
export type Place = 'plain' | 'private-ca' | 'old-nova' | 'new-nova';

export interface WayIn {
  readonly name: string;
  readonly place?: Place;
  readonly env: (cloud: CloudFacts) => Record<string, string>;
  /** Files in the working directory, by name; `clouds.yaml` is found there. */
  readonly files?: (cloud: CloudFacts) => Record<string, unknown>;
  /** Where both have to arrive, `REGION/INTERFACE`, and how they signed in; or why both refuse, in the reader's words. */
  readonly leads:
    | { readonly door: string; readonly by: 'password' | 'application_credential' | 'token' }
    | { readonly refused: RegExp };
}

const byName = (cloud: CloudFacts): Record<string, string> => ({
  OS_AUTH_URL: cloud.authUrl,
  OS_USERNAME: 'demo',
  OS_PASSWORD: cloud.password,
  OS_USER_DOMAIN_NAME: 'Default',
});
const project = { OS_PROJECT_NAME: 'demo', OS_PROJECT_DOMAIN_NAME: 'Default' };
const bare = (cloud: CloudFacts): Record<string, string> => ({ OS_AUTH_URL: cloud.authUrl });
const passwordEntry = (cloud: CloudFacts): Record<string, string> => ({
  auth_url: cloud.authUrl,
  username: 'demo',
  password: cloud.password,
  user_domain_name: 'Default',
  project_name: 'demo',
  project_domain_name: 'Default',
});
const clouds = (entry: unknown): Record<string, unknown> => ({ 'clouds.yaml': { clouds: { site: entry } } });
const site = (): Record<string, string> => ({ OS_CLOUD: 'site' });

/** Every value of every kind of setting at least once, each in company of others. */
export const waysIn: readonly WayIn[] = [
  {
    name: 'password; user and project by name, domains by name; region',
    env: (c) => ({ ...byName(c), ...project, OS_REGION_NAME: 'RegionTwo' }),
    leads: { door: 'RegionTwo/public', by: 'password' },
  },
  {
    name: 'password; project by id, domain of the user by id; internal interface',
    env: (c) => ({
      ...bare(c),
      OS_USERNAME: 'demo',
      OS_PASSWORD: c.password,
      OS_USER_DOMAIN_ID: 'default',
      OS_PROJECT_ID: c.projectId,
      OS_REGION_NAME: 'RegionOne',
      OS_ENDPOINT_TYPE: 'internal',
    }),
    leads: { door: 'RegionOne/internal', by: 'password' },
  },
  {
    name: 'password; tenant by its old name, one domain name for all; no region; admin interface by its old name',
    env: (c) => ({
      ...bare(c),
      OS_USERNAME: 'demo',
      OS_PASSWORD: c.password,
      OS_TENANT_NAME: 'demo',
      OS_DOMAIN_NAME: 'Default',
      OS_ENDPOINT_TYPE: 'adminURL',
    }),
    leads: { door: 'RegionOne/admin', by: 'password' },
  },
  {
    name: 'password; tenant by its old name, no domain but the default one; no region',
    env: (c) => ({ ...bare(c), OS_USERNAME: 'demo', OS_PASSWORD: c.password, OS_TENANT_NAME: 'demo' }),
    leads: { door: 'RegionOne/public', by: 'password' },
  },
  {
    name: 'password; another default domain, by id; address without /v3; admin interface',
    env: (c) => ({
      OS_AUTH_URL: c.authUrl.replace(/\/v3$/, ''),
      OS_USERNAME: 'demo',
      OS_PASSWORD: c.password,
      OS_PROJECT_NAME: 'demo',
      OS_DEFAULT_DOMAIN: 'default',
      OS_ENDPOINT_TYPE: 'adminURL',
    }),
    leads: { door: 'RegionOne/admin', by: 'password' },
  },
  {
    name: 'application credential by id; region and interface',
    env: (c) => ({
      ...bare(c),
      OS_APPLICATION_CREDENTIAL_ID: c.credential.id,
      OS_APPLICATION_CREDENTIAL_SECRET: c.credential.secret,
      OS_REGION_NAME: 'RegionTwo',
      OS_ENDPOINT_TYPE: 'internalURL',
    }),
    leads: { door: 'RegionTwo/internal', by: 'application_credential' },
  },
  {
    name: 'application credential by name, its user by name and domain',
    env: (c) => ({
      ...bare(c),
      OS_USERNAME: 'demo',
      OS_USER_DOMAIN_NAME: 'Default',
      OS_APPLICATION_CREDENTIAL_NAME: c.credential.name,
      OS_APPLICATION_CREDENTIAL_SECRET: c.credential.secret,
    }),
    leads: { door: 'RegionOne/public', by: 'application_credential' },
  },
  {
    name: 'application credential by name, its user by id',
    env: (c) => ({
      ...bare(c),
      OS_USER_ID: c.userId,
      OS_APPLICATION_CREDENTIAL_NAME: c.credential.name,
      OS_APPLICATION_CREDENTIAL_SECRET: c.credential.secret,
    }),
    leads: { door: 'RegionOne/public', by: 'application_credential' },
  },
  {
    name: 'token; project by id',
    env: (c) => ({ ...bare(c), OS_TOKEN: c.token, OS_PROJECT_ID: c.projectId, OS_REGION_NAME: 'RegionTwo' }),
    leads: { door: 'RegionTwo/public', by: 'token' },
  },
  {
    name: 'token by its other name; project by name and domain',
    env: (c) => ({ ...bare(c), OS_AUTH_TOKEN: c.token, ...project, OS_ENDPOINT_TYPE: 'internal' }),
    leads: { door: 'RegionOne/internal', by: 'token' },
  },
  {
    name: 'token used as it is',
    env: (c) => ({ ...bare(c), OS_TOKEN: c.token, OS_ALLOW_REAUTH: 'false' }),
    // Keystone tells how the token itself was got.
    leads: { door: 'RegionOne/public', by: 'password' },
  },
  {
    name: 'token beside a password: the token counts',
    env: (c) => ({ ...byName(c), ...project, OS_PASSWORD: 'not-it', OS_TOKEN: c.token }),
    leads: { door: 'RegionOne/public', by: 'token' },
  },
  {
    name: 'clouds.yaml; names; region from the file; its interface does not count',
    env: site,
    files: (c) => clouds({ auth: passwordEntry(c), region_name: 'RegionTwo', interface: 'internal' }),
    leads: { door: 'RegionTwo/public', by: 'password' },
  },
  {
    name: 'clouds.yaml; user and project by id; region and interface from the environment',
    env: () => ({ ...site(), OS_REGION_NAME: 'RegionTwo', OS_ENDPOINT_TYPE: 'admin' }),
    files: (c) =>
      clouds({
        auth: { auth_url: c.authUrl, user_id: c.userId, password: c.password, project_id: c.projectId },
        region_name: 'RegionOne',
      }),
    leads: { door: 'RegionTwo/admin', by: 'password' },
  },
  {
    name: 'clouds.yaml with the secret apart; application credential',
    env: site,
    files: (c) => ({
      ...clouds({
        auth_type: 'v3applicationcredential',
        auth: { auth_url: c.authUrl, application_credential_id: c.credential.id },
      }),
      'secure.yaml': { clouds: { site: { auth: { application_credential_secret: c.credential.secret } } } },
    }),
    leads: { door: 'RegionOne/public', by: 'application_credential' },
  },
  {
    name: 'clouds.yaml with a profile; domains by id',
    env: () => ({ ...site(), OS_ENDPOINT_TYPE: 'internal' }),
    files: (c) => ({
      ...clouds({
        profile: 'vendor',
        auth: {
          username: 'demo',
          password: c.password,
          user_domain_id: 'default',
          project_name: 'demo',
          project_domain_id: 'default',
        },
      }),
      'clouds-public.yaml': {
        'public-clouds': { vendor: { auth: { auth_url: c.authUrl }, region_name: 'RegionTwo' } },
      },
    }),
    leads: { door: 'RegionTwo/internal', by: 'password' },
  },
  {
    name: 'clouds.yaml with gaps that the environment fills',
    env: () => ({ ...site(), OS_PROJECT_NAME: 'demo', OS_PROJECT_DOMAIN_NAME: 'Default' }),
    files: (c) =>
      clouds({
        auth: { auth_url: c.authUrl, username: 'demo', password: c.password, user_domain_name: 'Default' },
      }),
    leads: { door: 'RegionOne/public', by: 'password' },
  },
  {
    name: 'clouds.yaml with values for each region',
    env: () => ({ ...site(), OS_REGION_NAME: 'RegionTwo' }),
    files: (c) =>
      clouds({
        auth: { ...passwordEntry(c), password: 'of-the-other-region' },
        regions: [
          { name: 'RegionOne', values: {} },
          { name: 'RegionTwo', values: { auth: { password: c.password } } },
        ],
      }),
    leads: { door: 'RegionTwo/public', by: 'password' },
  },
  {
    name: 'a named file; the clouds.yaml in the working directory does not count',
    env: () => ({ ...site(), OS_CLIENT_CONFIG_FILE: 'named.yaml' }),
    files: (c) => ({
      ...clouds({ auth: { ...passwordEntry(c), password: 'of-the-other-file' } }),
      'named.yaml': { clouds: { site: { auth: passwordEntry(c), region_name: 'RegionTwo' } } },
    }),
    leads: { door: 'RegionTwo/public', by: 'password' },
  },
  {
    name: 'private authority by path',
    place: 'private-ca',
    env: (c) => ({ ...byName(c), ...project, OS_CACERT: c.caFile }),
    leads: { door: 'RegionOne/public', by: 'password' },
  },
  {
    name: 'private authority as PEM; application credential; region and interface',
    place: 'private-ca',
    env: (c) => ({
      ...bare(c),
      OS_APPLICATION_CREDENTIAL_ID: c.credential.id,
      OS_APPLICATION_CREDENTIAL_SECRET: c.credential.secret,
      OS_CACERT: c.ca,
      OS_REGION_NAME: 'RegionTwo',
      OS_ENDPOINT_TYPE: 'internal',
    }),
    leads: { door: 'RegionTwo/internal', by: 'application_credential' },
  },
  {
    name: 'private authority in clouds.yaml',
    place: 'private-ca',
    env: site,
    files: (c) => clouds({ auth: passwordEntry(c), cacert: c.caFile }),
    leads: { door: 'RegionOne/public', by: 'password' },
  },
  {
    name: 'private authority among the system’s',
    place: 'private-ca',
    env: (c) => ({ ...byName(c), ...project, SSL_CERT_FILE: c.caFile }),
    leads: { door: 'RegionOne/public', by: 'password' },
  },
  {
    name: 'no verification by the environment; token',
    place: 'private-ca',
    env: (c) => ({ ...bare(c), OS_TOKEN: c.token, OS_PROJECT_ID: c.projectId, OS_INSECURE: 'true' }),
    leads: { door: 'RegionOne/public', by: 'token' },
  },
  {
    name: 'no verification by clouds.yaml',
    place: 'private-ca',
    env: site,
    files: (c) => clouds({ auth: passwordEntry(c), verify: false }),
    leads: { door: 'RegionOne/public', by: 'password' },
  },
  {
    name: 'an old Nova',
    place: 'old-nova',
    env: (c) => ({ ...byName(c), ...project }),
    leads: { door: 'RegionOne/public', by: 'password' },
  },
  {
    name: 'a Nova newer than anything asked for',
    place: 'new-nova',
    env: (c) => ({ ...byName(c), ...project, OS_REGION_NAME: 'RegionTwo' }),
    leads: { door: 'RegionTwo/public', by: 'password' },
  },
  {
    name: 'wrong password',
    env: (c) => ({ ...byName(c), ...project, OS_PASSWORD: 'not-it' }),
    leads: { refused: /answered 401/ },
  },
  {
    name: 'wrong secret of an application credential',
    env: (c) => ({
      ...bare(c),
      OS_APPLICATION_CREDENTIAL_ID: c.credential.id,
      OS_APPLICATION_CREDENTIAL_SECRET: 'not-it',
    }),
    leads: { refused: /answered 401/ },
  },
  {
    name: 'a token that is over',
    env: (c) => ({ ...bare(c), OS_TOKEN: 'gAAAAAover', OS_PROJECT_ID: c.projectId }),
    leads: { refused: /answered 40[14].*check the credentials/ },
  },
  {
    name: 'a token without a project that is to be renewed',
    env: (c) => ({ ...bare(c), OS_TOKEN: c.token }),
    leads: { refused: /token is given without a project/ },
  },
  {
    name: 'user by id with a project in OS_* variables',
    env: (c) => ({ ...bare(c), OS_USER_ID: c.userId, OS_PASSWORD: c.password, ...project }),
    leads: { refused: /by id together with a domain/ },
  },
  {
    name: 'user by name and by id',
    env: (c) => ({ ...byName(c), ...project, OS_USER_ID: c.userId }),
    leads: { refused: /by name and by id/ },
  },
  {
    name: 'project by name without a domain in clouds.yaml',
    env: site,
    files: (c) => clouds({ auth: { ...passwordEntry(c), project_domain_name: '' } }),
    leads: { refused: /without its domain/ },
  },
  {
    name: 'a region that is not there',
    env: (c) => ({ ...byName(c), ...project, OS_REGION_NAME: 'RegionThree' }),
    leads: { refused: /in the region "RegionThree"/ },
  },
  {
    name: 'an interface that is none',
    env: (c) => ({ ...byName(c), ...project, OS_ENDPOINT_TYPE: 'outside' }),
    leads: { refused: /OS_ENDPOINT_TYPE is "outside"/ },
  },
  {
    name: 'a cloud that clouds.yaml does not have',
    env: () => ({ OS_CLOUD: 'elsewhere' }),
    files: (c) => clouds({ auth: passwordEntry(c) }),
    leads: { refused: /which .*clouds\.yaml does not have/ },
  },
  {
    name: 'a private authority that nobody named',
    place: 'private-ca',
    env: (c) => ({ ...byName(c), ...project }),
    leads: { refused: /is not trusted/ },
  },
];

/** Content of a file as YAML; strings as they are. */
export const fileText = (content: unknown): string =>
  typeof content === 'string' ? content : stringify(content);
