import path from 'node:path';
import { cloudEntry, CloudsFileError, textAt, asEntry, yamlBoolean } from './clouds-yaml.js';
import type { CredentialFiles, Entry } from './clouds-yaml.js';
import { authFields, identityOf, scopeOf } from './sign-in.js';
import type { AuthField, AuthInfo, Identity, Scope } from './sign-in.js';

/**
 * Credentials as the engine's OpenStack provider resolves them (its version 1.54 with `clientconfig`), so
 * that the service never talks to another cloud, project or user than the engine does. Where that provider
 * would refuse, so does this, with what to do; where it ignores a setting that people expect to count,
 * there is a warning.
 */

export type Env = Readonly<Record<string, string | undefined>>;

export type Interface = 'public' | 'internal' | 'admin';

export interface Auth {
  readonly authUrl: string;
  readonly identity: Identity;
  /** Null: none is asked for (an application credential carries its own). */
  readonly scope: Scope | null;
  /** A token given without a scope is used as it is. It cannot be renewed. */
  readonly passThrough: boolean;
  /** '' takes the catalog's first endpoint. */
  readonly region: string;
  readonly interface: Interface;
  readonly tls: {
    readonly verify: boolean;
    /** PEM of the only authorities trusted: the one given, else the system's. Null: those that Node brings. */
    readonly ca: string | null;
    readonly client: { readonly cert: string; readonly key: string } | null;
  };
  /** All values that must never be shown. */
  readonly secrets: readonly string[];
  /** Where they come from, for people. */
  readonly source: string;
  readonly warnings: readonly string[];
}

export type Resolution =
  { readonly ok: true; readonly auth: Auth } | { readonly ok: false; readonly errors: readonly string[] };

const firstOf = (env: Env, names: readonly string[]): string =>
  names.map((name) => env[name] ?? '').find((value) => value !== '') ?? '';

/**
 * Without OS_CLOUD the first of two names wins; filling the gaps of a `clouds.yaml` entry, the last one
 * does. Both are the provider's ways.
 */
function authInfo(env: Env, entry: Entry | null): AuthInfo {
  const auth = asEntry(entry?.['auth']);
  const info = {} as AuthInfo;
  for (const [field, names] of Object.entries(authFields) as [AuthField, readonly string[]][]) {
    const own = entry === null ? '' : textAt(auth, field);
    info[field] = own !== '' ? own : firstOf(env, entry === null ? names : [...names].reverse());
  }
  // The provider's own default; it does not apply to a clouds.yaml entry.
  if (entry === null && info.default_domain === '') info.default_domain = 'default';
  return info;
}

/** Go's ParseBool, which reads the provider's switches. Null for other text. */
function goBoolean(text: string): boolean | null {
  if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true;
  if (/^(0|f|F|FALSE|false|False)$/.test(text)) return false;
  return null;
}

function usableUrl(text: string): boolean {
  try {
    const url = new URL(text);
    return (url.protocol === 'http:' || url.protocol === 'https:') && url.username + url.password === '';
  } catch {
    return false;
  }
}

/** A PEM given by path (`~` allowed) or as it is. */
function pem(value: string, what: string, files: CredentialFiles, errors: string[]): string | null {
  if (value === '') return null;
  if (value.includes('-----BEGIN')) return value;
  const expanded = value.startsWith('~/') ? path.join(files.home, value.slice(2)) : value;
  const text = files.read(path.resolve(files.cwd, expanded));
  if (text === null) errors.push(`${what} names ${expanded}, which cannot be read: correct the path`);
  else if (!text.includes('-----BEGIN')) errors.push(`${what} names ${expanded}, which holds no PEM`);
  else return text;
  return null;
}

/** Where Go looks for the system's authorities; Node by itself knows only those that it brings. */
const systemBundles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/tls/cacert.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/** The system's authorities, so that a site's own, installed there, counts here as it does for the engine. */
function systemAuthorities(env: Env, files: CredentialFiles): string | null {
  const named = env['SSL_CERT_FILE'] ?? '';
  for (const file of named !== '' ? [named] : systemBundles) {
    const text = files.read(file);
    if (text?.includes('-----BEGIN') === true) return text;
  }
  return null;
}

const interfaces: Readonly<Record<string, Interface>> = {
  '': 'public',
  public: 'public',
  publicURL: 'public',
  internal: 'internal',
  internalURL: 'internal',
  admin: 'admin',
  adminURL: 'admin',
};

/** A switch in the environment: its value, null where it is not set; text that is no boolean is an error. */
function switchAt(env: Env, name: string, errors: string[]): boolean | null {
  const text = env[name] ?? '';
  if (text === '') return null;
  const value = goBoolean(text);
  if (value === null) errors.push(`${name} must be true or false`);
  return value;
}

/**
 * Resolves credentials from an environment and the files that it names. Pure but for `files.read`.
 * All errors are named at once; none holds a secret.
 */
export function resolveCredentials(env: Env, files: CredentialFiles): Resolution {
  const errors: string[] = [];
  const warnings: string[] = [];
  const cloudName = env['OS_CLOUD'] ?? '';
  let entry: Entry | null = null;
  let source = 'the OS_* variables of the environment';
  if (cloudName !== '') {
    try {
      const resolved = cloudEntry(cloudName, env['OS_REGION_NAME'] ?? '', env, files);
      entry = resolved.entry;
      source = `the cloud "${cloudName}" of ${resolved.file}`;
      if (path.dirname(resolved.file) === files.cwd && (env['OS_CLIENT_CONFIG_FILE'] ?? '') === '') {
        warnings.push(
          `${resolved.file} was found in the current directory; the engine runs in another one: name it in OS_CLIENT_CONFIG_FILE, or move it to ~/.config/openstack`,
        );
      }
    } catch (error) {
      if (!(error instanceof CloudsFileError)) throw error;
      return { ok: false, errors: [error.message] };
    }
  }
  const info = authInfo(env, entry);
  const authType = textAt(entry, 'auth_type');
  const version = (env['OS_IDENTITY_API_VERSION'] ?? '') || textAt(entry, 'identity_api_version');
  if (version !== '' ? version !== '3' : info.auth_url.includes('v2.0') || authType.startsWith('v2')) {
    errors.push(
      `Keystone's API version ${version || '2.0'} is asked for, only 3 is spoken: correct OS_IDENTITY_API_VERSION, or the end of OS_AUTH_URL, to /v3`,
    );
  }
  if (info.auth_url === '') {
    errors.push(
      entry === null
        ? 'there is no OpenStack to talk to: set OS_CLOUD (with a clouds.yaml) or OS_AUTH_URL'
        : `${source} has no auth_url: add it, or set OS_AUTH_URL`,
    );
  } else if (!usableUrl(info.auth_url)) {
    errors.push(
      'OS_AUTH_URL (auth_url in clouds.yaml) is not an http or https URL without user and password in it: correct it',
    );
  }
  const system =
    entry === null ? switchAt(env, 'OS_SYSTEM_SCOPE', errors) === true : info.system_scope !== '';
  const scope = scopeOf(info, system, errors);
  const identity = identityOf(info, authType, errors);
  const passThrough = identity !== null && 'token' in identity && scope === null;
  const allowReauth = switchAt(env, 'OS_ALLOW_REAUTH', errors);
  if (passThrough && allowReauth !== false) {
    errors.push(
      'a token is given without a project, which the OpenStack provider refuses: set OS_PROJECT_ID (or name and domain), or OS_ALLOW_REAUTH=false to use the token as it is',
    );
  }
  if (identity !== null && 'token' in identity) {
    warnings.push(
      'a token cannot be renewed: when it expires, service and engine stop until they get another; use an application credential for a service that runs on',
    );
  } else if (identity !== null && 'password' in identity && scope === null) {
    warnings.push(
      'no project is named: the user’s default project is used, if it has one; set OS_PROJECT_ID or OS_PROJECT_NAME',
    );
  }

  const endpointType = env['OS_ENDPOINT_TYPE'] ?? '';
  const chosen = Object.hasOwn(interfaces, endpointType) ? interfaces[endpointType] : undefined;
  if (chosen === undefined) {
    errors.push(`OS_ENDPOINT_TYPE is "${endpointType}"; it must be public, internal or admin`);
  }
  const ignored = (env['OS_INTERFACE'] ?? '') || textAt(entry, 'endpoint_type') || textAt(entry, 'interface');
  if (ignored !== '' && chosen !== undefined && interfaces[ignored] !== chosen) {
    warnings.push(
      `the interface "${ignored}" (OS_INTERFACE, or interface in clouds.yaml) does not count for the engine's OpenStack provider, so not here either; "${chosen}" is used: set OS_ENDPOINT_TYPE`,
    );
  }
  for (const name of ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy']) {
    if ((env[name] ?? '') === '' || (env['NO_PROXY'] ?? env['no_proxy'] ?? '') !== '') continue;
    warnings.push(
      `${name} is set: the engine goes through that proxy to the cloud, the service goes straight; list the cloud's hosts in NO_PROXY if they can be reached`,
    );
    break;
  }

  const insecure = switchAt(env, 'OS_INSECURE', errors);
  const verifyText = textAt(entry, 'verify');
  const verify = insecure !== null ? !insecure : verifyText === '' ? true : yamlBoolean(verifyText);
  if (verify === null) errors.push(`${source}: verify must be true or false`);
  if (verify === false) {
    warnings.push('certificates are not verified: give the authority in OS_CACERT instead of OS_INSECURE');
  }
  const fileSetting = (name: string, key: string) => (env[name] ?? '') || textAt(entry, key);
  const ca = pem(fileSetting('OS_CACERT', 'cacert'), 'OS_CACERT (cacert)', files, errors);
  const certPath = fileSetting('OS_CERT', 'cert');
  const keyPath = fileSetting('OS_KEY', 'key');
  const both = certPath !== '' && keyPath !== '';
  const cert = both ? pem(certPath, 'OS_CERT (cert)', files, errors) : null;
  const key = both ? pem(keyPath, 'OS_KEY (key)', files, errors) : null;

  if (errors.length > 0 || identity === null || chosen === undefined) return { ok: false, errors };
  return {
    ok: true,
    auth: {
      authUrl: info.auth_url,
      identity,
      scope,
      passThrough,
      region: (env['OS_REGION_NAME'] ?? '') || textAt(entry, 'region_name'),
      interface: chosen,
      tls: {
        verify: verify ?? true,
        ca: ca ?? systemAuthorities(env, files),
        client: cert !== null && key !== null ? { cert, key } : null,
      },
      secrets: [info.password, info.token, info.application_credential_secret, key ?? ''].filter(
        (secret) => secret !== '',
      ),
      source,
      warnings,
    },
  };
}
