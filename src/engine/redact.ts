import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { EngineOptions } from './options.js';

/** Takes what must stay secret out of a text. */
export type Redact = (text: string) => string;

const mark = '[redacted]';
/** A shorter value would be found inside ordinary words; it is taken out only where it stands alone. */
const plainLength = 5;
const secretName = /PASSWORD|PASSCODE|PASSPHRASE|SECRET|TOKEN|PRIVATE_KEY/i;
/** Tokens come and go while the engine runs, so they are known by their form: Keystone's own, and in headers. */
const tokens = /gAAAA[\w-]{20,}={0,2}|((?:X-Auth-Token|X-Subject-Token|Authorization)["']?\s*[:=]\s*["']?(?:Bearer |Basic )?)[^\s"',]+/gi;

/** Values of an environment that are secret by their name, and the passwords in its URLs. Pure. */
export const secretsOfEnvironment = (environment: Readonly<Record<string, string>>): readonly string[] =>
  Object.entries(environment).flatMap(([name, value]) => {
    const inUrl = /^[a-z][a-z0-9+.-]*:\/\/[^/@\s]*?:([^/@\s]+)@/i.exec(value)?.[1];
    const whole = secretName.test(name) && !/_FILE$/i.test(name) ? [value] : [];
    return inUrl === undefined ? whole : [...whole, inUrl, decoded(inUrl)];
  });

/** Values of a `clouds.yaml` whose key says that they are secret. Pure; a text that is none has none. */
export const secretsOfCloudsFile = (text: string): readonly string[] => {
  const found: string[] = [];
  const walk = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) {
      return;
    }
    for (const [key, item] of Object.entries(value)) {
      if (secretName.test(key) && (typeof item === 'string' || typeof item === 'number')) {
        found.push(String(item));
      } else {
        walk(item);
      }
    }
  };
  try {
    walk(parse(text));
  } catch {
    // What cannot be parsed gives the provider no credentials either.
  }
  return found;
};

/** Takes these values out of texts, as they are and as URLs and JSON write them. Pure. */
export const redactorOf = (secrets: readonly string[]): Redact => {
  const forms = new Set(
    secrets
      .map((secret) => secret.trim())
      .filter((secret) => secret !== '')
      .flatMap((secret) => [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)]),
  );
  // The longest first: one may be part of another.
  const patterns = [...forms]
    .sort((a, b) => b.length - a.length)
    .map((form) => {
      const literal = form.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
      return new RegExp(form.length < plainLength ? `(?<!\\w)${literal}(?!\\w)` : literal, 'g');
    });
  return (text) =>
    patterns
      .reduce((left, pattern) => left.replace(pattern, mark), text)
      .replace(tokens, (_token, before: string | undefined) => `${before ?? ''}${mark}`);
};

/** For the messages of an engine: everything secret that its processes are given. Reads the files as they are now. */
export const engineRedactor = (
  options: Pick<EngineOptions, 'cloudEnv' | 'backendUrl' | 'passphraseFile'>,
  environment: Readonly<Record<string, string>>,
): Redact => {
  const cloudsFile = options.cloudEnv['OS_CLIENT_CONFIG_FILE'];
  return redactorOf([
    ...secretsOfEnvironment({ ...environment, ...options.cloudEnv, PULUMI_BACKEND_URL: options.backendUrl }),
    textOf(options.passphraseFile),
    ...(cloudsFile === undefined ? [] : secretsOfCloudsFile(textOf(cloudsFile))),
  ]);
};

const textOf = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};
