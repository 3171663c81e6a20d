import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { z } from 'zod';
import type { MemberName } from '../pool/model.js';
import type { Reference } from './compare.js';

const pack = promisify(gzip);
const unpack = promisify(gunzip);

const text = z.string();
const entry = z.object({
  type: text,
  mode: text,
  uid: z.number(),
  gid: z.number(),
  stamp: text,
  target: text,
});
const shape = z.object({
  format: z.literal(1),
  takenAt: z.number(),
  /** SHA-256 of the packed file list kept beside this file. */
  treeFile: text,
  reference: z.object({
    processes: z.array(text),
    mounts: z.array(text),
    sockets: z.array(text),
    ipc: z.array(text),
    tmp: z.array(text),
    firewall: text,
    contents: z.record(text, text),
    free: z.record(text, z.number()),
    treeHash: text,
    loose: z.record(text, entry),
    bootId: text,
  }),
});

export interface Baseline {
  readonly takenAt: number;
  readonly reference: Reference;
  /** The baseline's file records; read from disk at every call. Rejects when they are not those that were kept. */
  readonly readTree: () => Promise<readonly string[]>;
}

/**
 * Baselines of VMs, in the service's own state: one kept on the VM could be rewritten by whoever became root there.
 * For each member a JSON file and the packed list of its files, which is read only when something differs.
 */
export class Baselines {
  constructor(private readonly folder: string) {}

  async write(
    member: MemberName,
    takenAt: number,
    reference: Reference,
    tree: readonly string[],
  ): Promise<void> {
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    const packed = await pack(Buffer.from(tree.map((record) => `${record}\0`).join(''), 'latin1'), {
      level: 3,
    });
    const treeFile = createHash('sha256').update(packed).digest('hex');
    await this.#put(`${this.#name(member)}.tree.gz`, packed);
    const json = JSON.stringify({ format: 1, takenAt, treeFile, reference });
    await this.#put(`${this.#name(member)}.json`, Buffer.from(json, 'utf8'));
  }

  /** Null when there is none; throws, saying which file, when there is one that cannot be used. */
  async read(member: MemberName): Promise<Baseline | null> {
    const path = join(this.folder, `${this.#name(member)}.json`);
    let json: string;
    try {
      json = await readFile(path, 'utf8');
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
      throw error;
    }
    const parsed = shape.safeParse(safeJson(json));
    if (!parsed.success) throw new Error(`${path} is damaged: retire the VM, its baseline cannot be trusted`);
    const { takenAt, treeFile, reference } = parsed.data;
    const readTree = async (): Promise<readonly string[]> => {
      const packed = await readFile(join(this.folder, `${this.#name(member)}.tree.gz`));
      if (createHash('sha256').update(packed).digest('hex') !== treeFile) {
        throw new Error(
          `the file list beside ${path} is damaged: retire the VM, its baseline cannot be trusted`,
        );
      }
      const records = (await unpack(packed)).toString('latin1').split('\0');
      records.pop();
      return records;
    };
    return { takenAt, reference, readTree };
  }

  async remove(member: MemberName): Promise<void> {
    for (const ending of ['json', 'tree.gz'])
      await rm(join(this.folder, `${this.#name(member)}.${ending}`), { force: true });
  }

  #name(member: MemberName): string {
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,200}$/.test(member))
      throw new Error(`not a member's name: ${JSON.stringify(member)}`);
    return member;
  }

  async #put(name: string, data: Buffer): Promise<void> {
    const path = join(this.folder, name);
    const file = await open(`${path}.new`, 'w', 0o600);
    try {
      await file.writeFile(data);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${path}.new`, path);
  }
}

function safeJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return null;
  }
}
