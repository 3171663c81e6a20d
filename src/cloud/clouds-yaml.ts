import path from 'node:path';
import { isMap, isScalar, parseDocument, visit, type Document } from 'yaml';

/**
 * `clouds.yaml` and its companions, read the way the OpenStack provider reads them, so that the service and
 * the engine see one cloud. That reader is Go's `clientconfig`: all scalars of an entry are text, an
 * unknown key is ignored, and an empty value never overrides one that is set.
 */

/** What the resolver may see of the file system. `read` gives null for a file that is not there. */
export interface CredentialFiles {
  readonly cwd: string;
  /** From the password database, as the provider asks for it, not from HOME. */
  readonly home: string;
  read(file: string): string | null;
}

/** An entry after reading: text leaves, nested. */
export type Entry = { readonly [key: string]: EntryValue };
export type EntryValue = string | Entry | readonly EntryValue[];

export interface FoundFile {
  readonly file: string;
  readonly text: string;
}

/** A problem with a file, named with what to do; never with the file's content. */
export class CloudsFileError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CloudsFileError';
  }
}

const directories = (files: CredentialFiles): string[] => [
  files.cwd,
  ...(files.home === '' ? [] : [path.join(files.home, '.config/openstack')]),
  '/etc/openstack',
];

/** First of the given names in each directory; a whole search for `.yaml` comes before one for `.yml`. */
function search(files: CredentialFiles, name: string): FoundFile | null {
  for (const ending of ['yaml', 'yml']) {
    for (const directory of directories(files)) {
      const file = path.join(directory, `${name}.${ending}`);
      const text = files.read(file);
      if (text !== null) return { file, text };
    }
  }
  return null;
}

/** The file named by OS_CLIENT_CONFIG_FILE if it exists, else the first `clouds.yaml` of the search path. */
export function findClouds(env: Readonly<Record<string, string | undefined>>, files: CredentialFiles) {
  const named = env['OS_CLIENT_CONFIG_FILE'] ?? '';
  if (named !== '') {
    const file = path.resolve(files.cwd, named);
    const text = files.read(file);
    if (text !== null) return { file, text };
  }
  return search(files, 'clouds');
}

/** Where `clouds.yaml` was looked for, for an error message. */
export function searchedPlaces(files: CredentialFiles): string {
  return directories(files)
    .map((directory) => path.join(directory, 'clouds.yaml'))
    .join(', ');
}

function parseEntries(found: FoundFile, key: 'clouds' | 'public-clouds'): Entry {
  // Failsafe keeps every scalar as written: a project id of digits or a password `0123` stays text.
  const document = parseDocument(found.text, { schema: 'failsafe', merge: true, prettyErrors: false });
  const error = document.errors[0];
  if (error !== undefined) {
    const line = found.text.slice(0, error.pos[0]).split('\n').length;
    throw new CloudsFileError(`${found.file} is not valid YAML (${error.code}, line ${line}): correct it`);
  }
  visit(document, {
    Scalar: (_, node) => {
      if (node.type === 'PLAIN' && /^(|~|null|Null|NULL)$/.test(String(node.value))) node.value = '';
    },
  });
  if (document.contents === null || isScalar(document.contents)) return {};
  if (!isMap(document.contents)) {
    throw new CloudsFileError(`${found.file} must hold a mapping with the key "${key}"`);
  }
  return asEntry(plainContents(found, document)[key]) ?? {};
}

/** YAML that parses may still stand for nothing: an alias without its anchor, one within itself, a flood of them. */
function plainContents(found: FoundFile, document: Document): Record<string, EntryValue> {
  try {
    const contents = document.toJS({ maxAliasCount: 100 }) as Record<string, EntryValue>;
    JSON.stringify(contents); // an entry within itself has no end, and would have none in a merge
    return contents;
  } catch {
    // The library's message may quote the file, and the file holds secrets.
    throw new CloudsFileError(
      `${found.file} has an alias (*name) or a merge (<<) that cannot be resolved: write the value out in its place`,
    );
  }
}

export function asEntry(value: EntryValue | undefined): Entry | null {
  return typeof value === 'object' && !Array.isArray(value) ? (value as Entry) : null;
}

/** Text at a key; '' where there is none. */
export function textAt(entry: Entry | null, key: string): string {
  const value = entry?.[key];
  return typeof value === 'string' ? value : '';
}

const isList = (value: EntryValue): value is readonly EntryValue[] => Array.isArray(value);

/** `over` wins wherever it says something; lists are joined, as the provider does. */
export function merge(over: EntryValue | undefined, under: EntryValue | undefined): EntryValue {
  if (over === undefined || over === '') return under ?? '';
  if (under === undefined) return over;
  if (isList(over)) return isList(under) ? [...over, ...under] : over;
  const overEntry = asEntry(over);
  const underEntry = asEntry(under);
  if (overEntry === null || underEntry === null) return over;
  const merged: Record<string, EntryValue> = { ...underEntry };
  for (const [key, value] of Object.entries(overEntry)) {
    merged[key] = key === 'verify' ? mergeVerify(value, underEntry[key]) : merge(value, underEntry[key]);
  }
  return merged;
}

/** False is Go's empty value: in a merge it never overrides a `verify` that is set. */
function mergeVerify(over: EntryValue, under: EntryValue | undefined): EntryValue {
  return typeof over === 'string' && yamlBoolean(over) === true ? over : (under ?? over);
}

/** YAML 1.1, which that reader speaks: yes, no, on and off are booleans. Null where it is none. */
export function yamlBoolean(text: string): boolean | null {
  if (/^(y|Y|yes|Yes|YES|true|True|TRUE|on|On|ON)$/.test(text)) return true;
  if (/^(n|N|no|No|NO|false|False|FALSE|off|Off|OFF)$/.test(text)) return false;
  return null;
}

export interface ResolvedEntry {
  readonly entry: Entry;
  readonly file: string;
}

/**
 * One cloud by name: its entry over its profile in `clouds-public.yaml`, under `secure.yaml`, under the
 * values of the chosen region. Throws `CloudsFileError`.
 */
export function cloudEntry(
  name: string,
  region: string,
  env: Readonly<Record<string, string | undefined>>,
  files: CredentialFiles,
): ResolvedEntry {
  const found = findClouds(env, files);
  if (found === null) {
    throw new CloudsFileError(
      `OS_CLOUD is "${name}", but there is no clouds.yaml: looked at ${searchedPlaces(files)}; write one, or name it in OS_CLIENT_CONFIG_FILE`,
    );
  }
  const clouds = parseEntries(found, 'clouds');
  let entry = Object.hasOwn(clouds, name) ? asEntry(clouds[name] === '' ? {} : clouds[name]) : null;
  if (entry === null) {
    const known = Object.keys(clouds).sort().join(', ') || 'none';
    throw new CloudsFileError(
      `OS_CLOUD is "${name}", which ${found.file} does not have (it has: ${known}): correct one of the two`,
    );
  }
  const profile = textAt(entry, 'profile') || textAt(entry, 'cloud');
  if (profile !== '') {
    const publicFile = search(files, 'clouds-public');
    const profiles = publicFile === null ? {} : parseEntries(publicFile, 'public-clouds');
    const base = Object.hasOwn(profiles, profile) ? asEntry(profiles[profile]) : null;
    if (base === null) {
      throw new CloudsFileError(
        `the cloud "${name}" in ${found.file} names the profile "${profile}", which ${publicFile?.file ?? 'no clouds-public.yaml'} has: add it there, or remove the profile`,
      );
    }
    entry = merge(entry, base) as Entry;
  }
  const secureFile = search(files, 'secure');
  if (secureFile !== null) {
    const secure = parseEntries(secureFile, 'clouds');
    const own = Object.hasOwn(secure, name) ? asEntry(secure[name]) : null;
    if (own !== null) entry = merge(own, entry) as Entry;
  }
  if (textAt(entry, 'verify') === '') entry = { ...entry, verify: 'true' };
  const regions = entry['regions'];
  if (region !== '' && regions !== undefined && isList(regions)) {
    for (const candidate of regions) {
      const map = asEntry(candidate);
      if (textAt(map, 'name') !== region) continue;
      entry = merge(asEntry(map?.['values']) ?? {}, entry) as Entry;
      break;
    }
  }
  return { entry, file: found.file };
}
