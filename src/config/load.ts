import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { LineCounter, parseDocument, type Document } from 'yaml';
import { errorText } from '../store/files.js';
import { classFaults } from './class-settings.js';
import { explainIssue } from './explain.js';
import { formatDuration } from './quantities.js';
import { settingsSchema, type Settings } from './schema.js';
import { readSecretFile } from './secret-file.js';

/** A token as the service knows it: its hash alone. */
export interface HashedToken {
  readonly name: string;
  readonly role: 'worker' | 'operator' | 'viewer';
  /** The Torque node; null for the other roles. */
  readonly worker: string | null;
  /** SHA-256 of the token, hexadecimal. */
  readonly sha256: string;
}

/** The configuration with every default filled in and every path absolute. Holds no secret. */
export interface Config extends Omit<Settings, 'auth' | 'engine' | 'capabilitySecretFile'> {
  readonly auth: { readonly tokens: readonly HashedToken[] };
  /** `createTimeout` in milliseconds. */
  readonly engine: Settings['engine'] & {
    readonly backend: string;
    readonly createTimeout: number;
  };
  readonly capabilitySecretFile: string;
}

export interface ConfigError {
  /** `auth.tokens.0.role`, with the line of the file where there is one; empty for the whole file. */
  readonly path: string;
  readonly line: number | null;
  readonly message: string;
}

export type LoadResult =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly errors: readonly ConfigError[] };

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the one YAML file of the service. Paths in it are relative to its directory; secrets come from the
 * files and variables that it names. All errors are told at once, in the order of the file.
 */
export const loadConfig = (path: string, env: Environment): LoadResult => {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    return {
      ok: false,
      errors: [{ path: '', line: null, message: `${path} cannot be read: ${errorText(error)}` }],
    };
  }
  return parseConfig(text, dirname(resolve(path)), env);
};

/** As `loadConfig`, of a text; `base` is the directory for relative paths. */
export const parseConfig = (text: string, base: string, env: Environment): LoadResult => {
  const unlike = unlikeConfiguration(text);
  if (unlike !== null) return { ok: false, errors: [{ path: '', line: null, message: unlike }] };
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  if (document.errors.length > 0) {
    return {
      ok: false,
      errors: document.errors.map((error) => ({
        path: '',
        line: lines.linePos(error.pos[0]).line,
        message: error.message,
      })),
    };
  }
  const lineOf = (at: readonly PropertyKey[]): number | null => lineIn(document, lines, at);
  let raw: unknown;
  try {
    // Against the "billion laughs" of nested aliases; a configuration needs few.
    raw = document.toJS({ maxAliasCount: 50 }) as unknown;
  } catch (error) {
    return { ok: false, errors: [{ path: '', line: null, message: errorText(error) }] };
  }
  const parsed = settingsSchema.safeParse(raw ?? {});
  const errors: ConfigError[] = parsed.success
    ? []
    : parsed.error.issues.flatMap((issue) => explainIssue(issue, lineOf));
  if (parsed.success) {
    const resolved = resolveFiles(parsed.data, base, env);
    if (resolved.ok) return resolved;
    errors.push(...resolved.errors.map((error) => ({ ...error, line: lineOf(error.path.split('.')) })));
  }
  errors.sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
  return { ok: false, errors };
};

const mostCharacters = 4 * 1024 * 1024;
/** Room for every token that there can be. The parser's time grows with the square of the keys of a map. */
const mostLines = 60_000;
const deepest = 100;

/**
 * Why that text is no configuration, before it is parsed: what is nested thousands deep takes the parser minutes and
 * then the whole process (measured with yaml 2.9: it runs out of memory in a regular expression), and with it the
 * service that only wanted to read its configuration again. Brackets within quotes are counted too.
 */
const unlikeConfiguration = (text: string): string | null => {
  if (text.length > mostCharacters) return `is larger than ${String(mostCharacters / 1024 / 1024)} MiB`;
  if (text.split('\n', mostLines + 1).length > mostLines) return `has more than ${String(mostLines)} lines`;
  let depth = 0;
  for (const sign of text) {
    if (sign === '[' || sign === '{') depth += 1;
    else if (sign === ']' || sign === '}') depth -= 1;
    if (depth > deepest) return `has more than ${String(deepest)} brackets, one within the other`;
  }
  return /^[ \t?-]{200}/m.test(text) ? 'has a line that is indented by 200 characters and more' : null;
};

/** Line of the key at that path, or of the closest one above it that is in the file. */
const lineIn = (document: Document, lines: LineCounter, path: readonly PropertyKey[]): number | null => {
  for (let length = path.length; length > 0; length -= 1) {
    const node: unknown = document.getIn(
      path.slice(0, length).map((part) => (/^\d+$/.test(String(part)) ? Number(part) : part)),
      true,
    );
    if (typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range)) {
      return lines.linePos(Number(node.range[0])).line;
    }
  }
  return null;
};

/** What Nova and the provider need beyond the boot limit to end a create that came to nothing. */
const createMarginMs = 60_000;

const resolveFiles = (settings: Settings, base: string, env: Environment): LoadResult => {
  const errors: ConfigError[] = [];
  const complain = (path: string, message: string): void => {
    errors.push({ path, line: null, message });
  };
  const absolute = (path: string): string => resolve(base, path);
  const secretFile = (path: string, key: string): string => {
    const read = readSecretFile(absolute(path));
    if (!read.ok) complain(key, read.message);
    return absolute(path);
  };
  const tokens = settings.auth.tokens.map((token, index): HashedToken => {
    const { name, role, worker = null } = token;
    const key = `auth.tokens.${String(index)}`;
    if (token.sha256 !== undefined) return { name, role, worker, sha256: token.sha256 };
    let secret = '';
    if (token.tokenFile !== undefined) {
      const read = readSecretFile(absolute(token.tokenFile));
      if (read.ok) secret = read.secret;
      else complain(`${key}.tokenFile`, read.message);
    } else if (token.tokenEnv !== undefined) {
      secret = env[token.tokenEnv]?.trim() ?? '';
      if (secret === '') complain(`${key}.tokenEnv`, `the variable ${token.tokenEnv} is not set`);
    }
    if (secret !== '' && secret.length < 20) complain(key, 'the token has fewer than 20 characters');
    return { name, role, worker, sha256: createHash('sha256').update(secret).digest('hex') };
  });
  tokens.forEach(({ sha256 }, index) => {
    const first = tokens.findIndex((other) => other.sha256 === sha256);
    if (first !== index && errors.length === 0) {
      complain(`auth.tokens.${String(index)}`, `is the same token as ${tokens[first]?.name ?? ''}`);
    }
  });
  for (const { index, message } of classFaults(settings.pool, settings.classes))
    complain(index === null ? 'classes' : `classes.${String(index)}.pool`, message);
  const { bootLimitMs } = settings.policy;
  const { createTimeout = bootLimitMs + createMarginMs } = settings.engine;
  if (createTimeout < bootLimitMs) {
    complain(
      'engine.createTimeout',
      `is shorter than policy.bootLimit (${formatDuration(bootLimitMs)}): Pulumi would give up VMs that may still boot; leave it out, or raise it`,
    );
  }
  const { tls, ...listen } = settings.listen;
  const stateDir = absolute(settings.stateDir);
  const config: Config = {
    ...settings,
    stateDir,
    capabilitySecretFile: absolute(settings.capabilitySecretFile ?? join(stateDir, 'capability.key')),
    auth: { tokens },
    listen:
      tls === undefined
        ? listen
        : {
            ...listen,
            tls: {
              cert: absolute(tls.cert),
              key: secretFile(tls.key, 'listen.tls.key'),
              ...(tls.clientCa === undefined ? {} : { clientCa: absolute(tls.clientCa) }),
            },
          },
    cloud: {
      ...settings.cloud,
      ...(settings.cloud.envFile === undefined
        ? {}
        : { envFile: secretFile(settings.cloud.envFile, 'cloud.envFile') }),
    },
    engine: {
      ...settings.engine,
      createTimeout,
      backend: settings.engine.backend ?? `file://${join(stateDir, 'pulumi')}`,
      passphraseFile: secretFile(settings.engine.passphraseFile, 'engine.passphraseFile'),
    },
    guest: {
      ...settings.guest,
      privateKeyFile: secretFile(settings.guest.privateKeyFile, 'guest.privateKeyFile'),
    },
  };
  return errors.length > 0 ? { ok: false, errors } : { ok: true, config };
};

/** One line for each error, as told to an operator. */
export const formatConfigErrors = (file: string, errors: readonly ConfigError[]): string =>
  errors
    .map(({ path, line, message }) => {
      const place = line === null ? file : `${file}:${String(line)}`;
      return path === '' ? `${place}: ${message}` : `${place}: ${path}: ${message}`;
    })
    .join('\n');
