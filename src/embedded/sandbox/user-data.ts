import { gunzipSync } from 'node:zlib';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';

/** What a guest does with its user data at its first boot. */
export interface BootPlan {
  readonly authorizedKeys: readonly string[];
  readonly files: readonly {
    readonly path: string;
    readonly content: Buffer;
    readonly mode: number;
    readonly owner: string;
    readonly append: boolean;
  }[];
  readonly users: readonly {
    readonly name: string;
    readonly keys: readonly string[];
    readonly sudo: boolean;
    readonly shell: string | undefined;
  }[];
  /** Shell text, in the order of its running. */
  readonly commands: readonly string[];
  /** Whole scripts, run after all else. */
  readonly scripts: readonly Buffer[];
  readonly disableRoot: boolean;
  /** What could not be understood; shown on the console. */
  readonly warnings: readonly string[];
}

const command = z.union([z.string(), z.array(z.coerce.string())]);
const cloudConfigSchema = z.looseObject({
  ssh_authorized_keys: z.array(z.string()).nullish(),
  disable_root: z.boolean().nullish(),
  users: z
    .array(
      z.union([
        z.string(),
        z.looseObject({
          name: z.string(),
          ssh_authorized_keys: z.array(z.string()).nullish(),
          sudo: z.unknown().optional(),
          shell: z.string().nullish(),
        }),
      ]),
    )
    .nullish(),
  write_files: z
    .array(
      z.looseObject({
        path: z.string().startsWith('/'),
        content: z.string().default(''),
        encoding: z.string().nullish(),
        permissions: z.coerce.string().nullish(),
        owner: z.string().nullish(),
        append: z.boolean().nullish(),
      }),
    )
    .nullish(),
  bootcmd: z.array(command).nullish(),
  runcmd: z.array(command).nullish(),
});

interface Draft {
  authorizedKeys: string[];
  files: BootPlan['files'][number][];
  users: BootPlan['users'][number][];
  commands: string[];
  scripts: Buffer[];
  disableRoot: boolean;
  warnings: string[];
}

export function shellQuote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

function commandText(value: string | readonly string[]): string {
  return typeof value === 'string' ? value : value.map(shellQuote).join(' ');
}

function decodeContent(content: string, encoding: string | null | undefined): Buffer {
  const kind = (encoding ?? '').toLowerCase();
  const bytes = /b64|base64/.test(kind) ? Buffer.from(content, 'base64') : Buffer.from(content);
  return /^(gz|gzip)/.test(kind) ? gunzipSync(bytes) : bytes;
}

function addCloudConfig(draft: Draft, body: string): void {
  const parsed = cloudConfigSchema.safeParse(parseYaml(body) ?? {});
  if (!parsed.success) {
    draft.warnings.push(`cloud-config is not valid: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`);
    return;
  }
  const config = parsed.data;
  draft.authorizedKeys.push(...(config.ssh_authorized_keys ?? []));
  if (config.disable_root != null) draft.disableRoot = config.disable_root;
  for (const user of config.users ?? []) {
    if (typeof user === 'string' || user.name === 'default') continue;
    draft.users.push({
      name: user.name,
      keys: user.ssh_authorized_keys ?? [],
      sudo: Boolean(user.sudo),
      shell: user.shell ?? undefined,
    });
  }
  for (const file of config.write_files ?? [])
    draft.files.push({
      path: file.path,
      content: decodeContent(file.content, file.encoding),
      mode: file.permissions == null ? 0o644 : Number.parseInt(file.permissions, 8),
      owner: file.owner ?? 'root:root',
      append: file.append ?? false,
    });
  for (const each of [...(config.bootcmd ?? []), ...(config.runcmd ?? [])])
    draft.commands.push(commandText(each));
}

function addMultipart(draft: Draft, text: string): void {
  const split = /\r?\n\r?\n/.exec(text);
  const header = split ? text.slice(0, split.index) : text;
  const boundary = /boundary="?([^";\s]+)"?/i.exec(header)?.[1];
  if (!split || boundary === undefined) {
    draft.warnings.push('the multipart user data has no boundary');
    return;
  }
  for (const raw of text.slice(split.index).split(`--${boundary}`).slice(1)) {
    if (raw.startsWith('--')) break;
    const part = raw.replace(/^\r?\n/, '');
    const end = /\r?\n\r?\n/.exec(part);
    if (!end) continue;
    if (/^content-type:\s*multipart\//im.test(part.slice(0, end.index))) {
      addMultipart(draft, part);
      continue;
    }
    const encoding = /content-transfer-encoding:\s*(\S+)/i.exec(part.slice(0, end.index))?.[1]?.toLowerCase();
    const body = part.slice(end.index + end[0].length).replace(/\r?\n$/, '');
    addPart(draft, encoding === 'base64' ? Buffer.from(body, 'base64') : Buffer.from(body));
  }
}

function addPart(draft: Draft, given: Buffer): void {
  const bytes = given[0] === 0x1f && given[1] === 0x8b ? gunzipSync(given) : given;
  const text = bytes.toString('utf8');
  if (text.startsWith('#!')) draft.scripts.push(bytes);
  else if (text.startsWith('#cloud-config')) addCloudConfig(draft, text);
  else if (/^(content-type:\s*multipart|mime-version:)/i.test(text)) addMultipart(draft, text);
  else if (text.trim() !== '')
    draft.warnings.push(`Unhandled non-multipart (text/x-not-multipart) userdata: '${text.slice(0, 24)}...'`);
}

/**
 * Reads user data as cloud-init does: a script, a cloud-config (the subset of docs/reference/embedded-cloud.md), or a
 * MIME message of both, possibly gzipped. Never fails: what it does not understand becomes a warning.
 * @param userData base64, as Nova keeps it.
 */
export function readUserData(userData: string | undefined): BootPlan {
  const draft: Draft = {
    authorizedKeys: [],
    files: [],
    users: [],
    commands: [],
    scripts: [],
    disableRoot: false,
    warnings: [],
  };
  try {
    if (userData !== undefined) addPart(draft, Buffer.from(userData, 'base64'));
  } catch (error) {
    draft.warnings.push(
      `the user data cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  return draft;
}
