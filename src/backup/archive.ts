import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { create, list } from 'tar';
import { z } from 'zod';
import { errorText, nodeFiles, readIfThere, replaceFile } from '../store/files.js';

/** Why a backup could not be made, is no good, or cannot be put back, in words for the operator. */
export class BackupError extends Error {
  override readonly name = 'BackupError';
}

const manifestEntry = 'manifest.json';

const manifestShape = z.strictObject({
  format: z.literal('vmpool-backup'),
  version: z.literal(1),
  pool: z.string(),
  installation: z.uuid(),
  takenAt: z.iso.datetime(),
  /** Of the program that made it. */
  program: z.string(),
  files: z.array(
    z.strictObject({
      name: z.string(),
      size: z.int().min(0),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
});
export type Manifest = z.infer<typeof manifestShape>;

export interface Archive {
  readonly manifest: Manifest;
  readonly files: ReadonlyMap<string, Buffer>;
}

/** A file of a backup that is larger than this was not made by us; nothing of it is read into memory. */
const largestEntry = 512 * 1024 * 1024;

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Puts the files into one compressed archive at `path` (mode 0600), whole or not at all. */
export const writeArchive = async (
  path: string,
  about: Omit<Manifest, 'format' | 'version' | 'files'>,
  files: ReadonlyMap<string, Buffer>,
): Promise<Manifest> => {
  const manifest: Manifest = {
    format: 'vmpool-backup',
    version: 1,
    ...about,
    files: [...files].map(([name, bytes]) => ({ name, size: bytes.length, sha256: sha256(bytes) })),
  };
  // Beside the backup: it holds a secret, and no other directory was named as good enough for that.
  const staging = mkdtempSync(join(dirname(path), '.vmpool-backup-'));
  try {
    const put = (name: string, bytes: Buffer | string): void => {
      mkdirSync(dirname(join(staging, name)), { recursive: true, mode: 0o700 });
      writeFileSync(join(staging, name), bytes, { mode: 0o600 });
    };
    put(manifestEntry, `${JSON.stringify(manifest, null, 2)}\n`);
    for (const [name, bytes] of files) put(name, bytes);
    const packed = join(staging, '.packed');
    const names = [manifestEntry, ...files.keys()];
    await create({ gzip: true, cwd: staging, file: packed, portable: true, strict: true }, names);
    await replaceFile(nodeFiles, path, readFileSync(packed));
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  return manifest;
};

/**
 * Reads a backup into memory and compares every byte with its list of contents.
 *
 * @throws BackupError when it is cut off, changed, of another format, or no backup at all
 */
export const readArchive = async (path: string): Promise<Archive> => {
  const no = (why: string): BackupError => new BackupError(`${path} cannot be used: ${why}`);
  const packed = await readIfThere(nodeFiles, path).catch((error: unknown) => {
    throw no(errorText(error));
  });
  if (packed === null) throw no('there is no such file');
  const files = new Map<string, Buffer>();
  const trouble: string[] = [];
  try {
    await list({
      file: path,
      strict: true,
      onReadEntry: (entry) => {
        if (entry.type !== 'File' || entry.size > largestEntry || files.has(entry.path)) {
          trouble.push(`${entry.path} (${entry.type}) is nothing that a backup holds`);
          return;
        }
        const parts: Buffer[] = [];
        entry.on('data', (part) => parts.push(Buffer.from(part)));
        entry.on('end', () => files.set(entry.path, Buffer.concat(parts)));
      },
    });
  } catch (error) {
    throw no(`it is damaged or no backup (${errorText(error)})`);
  }
  const [odd] = trouble;
  if (odd !== undefined) throw no(odd);
  const manifest = manifestIn(files, no);
  for (const { name, size, sha256: expected } of manifest.files) {
    const bytes = files.get(name);
    if (bytes?.length !== size || sha256(bytes) !== expected) {
      throw no(`${name} is not what was put in: the backup is damaged or was changed`);
    }
  }
  if (files.size !== manifest.files.length)
    throw no('it holds files that its list of contents does not name');
  return { manifest, files };
};

const manifestIn = (files: Map<string, Buffer>, no: (why: string) => BackupError): Manifest => {
  const text = files.get(manifestEntry)?.toString('utf8');
  files.delete(manifestEntry);
  if (text === undefined) throw no('it has no list of contents: it is no backup of VM Pool, or is cut off');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw no('its list of contents cannot be read');
  }
  const parsed = manifestShape.safeParse(value);
  if (parsed.success) return parsed.data;
  throw no(
    `its list of contents is not of this version: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`,
  );
};
