/**
 * What Keystone is told: who signs in and for what. Rules and refusals are those of the engine's OpenStack
 * provider; `authFields` names the variables that fill each field.
 */

type Domain = { readonly id: string } | { readonly name: string };

/** Body of Keystone's `auth.identity`. */
export type Identity =
  | {
      readonly methods: readonly ['password'];
      readonly password: {
        readonly user:
          | { readonly id: string; readonly password: string }
          | { readonly name: string; readonly password: string; readonly domain: Domain };
      };
    }
  | { readonly methods: readonly ['token']; readonly token: { readonly id: string } }
  | {
      readonly methods: readonly ['application_credential'];
      readonly application_credential:
        | { readonly id: string; readonly secret: string }
        | {
            readonly name: string;
            readonly secret: string;
            readonly user: { readonly id: string } | { readonly name: string; readonly domain: Domain };
          };
    };

export type Scope =
  | { readonly project: { readonly id: string } | { readonly name: string; readonly domain: Domain } }
  | { readonly domain: Domain }
  | { readonly system: { readonly all: true } };

export const authFields = {
  auth_url: ['OS_AUTH_URL'],
  token: ['OS_TOKEN', 'OS_AUTH_TOKEN'],
  username: ['OS_USERNAME'],
  user_id: ['OS_USER_ID'],
  password: ['OS_PASSWORD'],
  project_id: ['OS_TENANT_ID', 'OS_PROJECT_ID'],
  project_name: ['OS_TENANT_NAME', 'OS_PROJECT_NAME'],
  domain_id: ['OS_DOMAIN_ID'],
  domain_name: ['OS_DOMAIN_NAME'],
  default_domain: ['OS_DEFAULT_DOMAIN'],
  project_domain_id: ['OS_PROJECT_DOMAIN_ID'],
  project_domain_name: ['OS_PROJECT_DOMAIN_NAME'],
  user_domain_id: ['OS_USER_DOMAIN_ID'],
  user_domain_name: ['OS_USER_DOMAIN_NAME'],
  application_credential_id: ['OS_APPLICATION_CREDENTIAL_ID'],
  application_credential_name: ['OS_APPLICATION_CREDENTIAL_NAME'],
  application_credential_secret: ['OS_APPLICATION_CREDENTIAL_SECRET'],
  system_scope: ['OS_SYSTEM_SCOPE'],
} as const;

export type AuthField = keyof typeof authFields;
export type AuthInfo = Record<AuthField, string>;

/** Domain* stands in for UserDomain* and ProjectDomain*; the default domain for what is still missing. */
function fillDomains(info: AuthInfo): void {
  for (const kind of ['id', 'name'] as const) {
    const value = info[`domain_${kind}`];
    if (value === '') continue;
    if (info[`user_domain_${kind}`] === '') info[`user_domain_${kind}`] = value;
    if (info[`project_domain_${kind}`] === '') info[`project_domain_${kind}`] = value;
    info[`domain_${kind}`] = '';
  }
  if (info.default_domain === '') return;
  for (const owner of ['user', 'project'] as const) {
    if (info[`${owner}_domain_id`] === '' && info[`${owner}_domain_name`] === '') {
      info[`${owner}_domain_id`] = info.default_domain;
    }
  }
}

/** Null: no scope is asked for. Moves the general domains to user and project, so it goes before `identityOf`. */
export function scopeOf(info: AuthInfo, system: boolean, errors: string[]): Scope | null {
  const isProject = info.project_id !== '' || info.project_name !== '';
  const isCredential =
    info.application_credential_id + info.application_credential_name + info.application_credential_secret !==
    '';
  if (isCredential) {
    fillDomains(info);
    return null;
  }
  if (!isProject) {
    if (system) return { system: { all: true } };
    if (info.domain_id !== '') return { domain: { id: info.domain_id } };
    if (info.domain_name !== '') return { domain: { name: info.domain_name } };
    return null;
  }
  fillDomains(info);
  if (info.project_id !== '') return { project: { id: info.project_id } };
  if (info.project_domain_id !== '') {
    return { project: { name: info.project_name, domain: { id: info.project_domain_id } } };
  }
  if (info.project_domain_name !== '') {
    return { project: { name: info.project_name, domain: { name: info.project_domain_name } } };
  }
  errors.push(
    `the project "${info.project_name}" is given by name without its domain: set OS_PROJECT_DOMAIN_NAME or OS_PROJECT_DOMAIN_ID (project_domain_name in clouds.yaml), or give the project by id`,
  );
  return null;
}

function passwordIdentity(info: AuthInfo, errors: string[]): Identity | null {
  const { password } = info;
  if (info.username === '' && info.user_id === '') {
    errors.push('a password is given without a user: set OS_USERNAME or OS_USER_ID');
    return null;
  }
  if (info.username !== '' && info.user_id !== '') {
    errors.push(
      'the user is given by name and by id, which the OpenStack provider refuses: keep one of OS_USERNAME and OS_USER_ID',
    );
    return null;
  }
  const { user_domain_id: id, user_domain_name: name } = info;
  if (info.user_id !== '') {
    if (id !== '' || name !== '') {
      errors.push(
        'the user is given by id together with a domain, which the OpenStack provider refuses (with OS_* variables a project adds the domain "default" by itself): give the user by name and domain, or put the credentials into clouds.yaml and set OS_CLOUD',
      );
      return null;
    }
    return { methods: ['password'], password: { user: { id: info.user_id, password } } };
  }
  if (id !== '' && name !== '') {
    errors.push(
      "the user's domain is given by name and by id, which the OpenStack provider refuses: keep one of OS_USER_DOMAIN_NAME and OS_USER_DOMAIN_ID (OS_DOMAIN_* and OS_DEFAULT_DOMAIN stand in for them)",
    );
    return null;
  }
  if (id === '' && name === '') {
    errors.push(
      `the user "${info.username}" is given by name without a domain: set OS_USER_DOMAIN_NAME or OS_USER_DOMAIN_ID`,
    );
    return null;
  }
  const domain: Domain = id !== '' ? { id } : { name };
  return { methods: ['password'], password: { user: { name: info.username, password, domain } } };
}

function applicationIdentity(info: AuthInfo, errors: string[]): Identity | null {
  const secret = info.application_credential_secret;
  if (secret === '') {
    errors.push(
      'an application credential is given without its secret: set OS_APPLICATION_CREDENTIAL_SECRET',
    );
    return null;
  }
  const methods = ['application_credential'] as const;
  if (info.application_credential_id !== '') {
    return { methods, application_credential: { id: info.application_credential_id, secret } };
  }
  const name = info.application_credential_name;
  if (info.user_id !== '') {
    return { methods, application_credential: { name, secret, user: { id: info.user_id } } };
  }
  if (info.username === '') {
    errors.push(
      `the application credential "${name}" is given by name without its user: set OS_USERNAME and OS_USER_DOMAIN_NAME, or give the credential by id`,
    );
    return null;
  }
  const { user_domain_id: domainId, user_domain_name: domainName } = info;
  if (domainId === '' && domainName === '') {
    errors.push(
      `the application credential "${name}" is given by name, its user without a domain: set OS_USER_DOMAIN_NAME or OS_USER_DOMAIN_ID`,
    );
    return null;
  }
  const domain: Domain = domainId !== '' ? { id: domainId } : { name: domainName };
  return { methods, application_credential: { name, secret, user: { name: info.username, domain } } };
}

/** Null with the reason added to `errors` where the provider would refuse. */
export function identityOf(info: AuthInfo, authType: string, errors: string[]): Identity | null {
  if (authType.includes('token') || info.token !== '') {
    // A token wins over user and password, as in the provider.
    if (info.token !== '') return { methods: ['token'], token: { id: info.token } };
    info.password = '';
    info.username = '';
    info.user_id = '';
    info.user_domain_id = '';
    info.user_domain_name = '';
  }
  if (info.password !== '') return passwordIdentity(info, errors);
  if (info.application_credential_id !== '' || info.application_credential_name !== '') {
    return applicationIdentity(info, errors);
  }
  errors.push(
    info.username !== '' || info.user_id !== ''
      ? 'there is no password: set OS_PASSWORD (password in clouds.yaml or secure.yaml)'
      : 'there are no credentials: set OS_CLOUD, or OS_USERNAME and OS_PASSWORD, or OS_APPLICATION_CREDENTIAL_ID and OS_APPLICATION_CREDENTIAL_SECRET, or OS_TOKEN',
  );
  return null;
}
