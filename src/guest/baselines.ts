import { createHash } from 'node:crypto';
import { mkdir, open, readFile, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { z } from 'zod';
import type { MemberName } from '../pool/model.js';
import type { Reference } from './compare.js';
import { parseSurvey } from './survey.js';

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
  /** SHA-256 of the packed survey kept beside this file. */
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

/** The files of each member. */
const endings = ['json', 'survey.gz'] as const;

export interface Baseline {
  readonly takenAt: number;
  readonly reference: Reference;
  /** The baseline's file records; read from disk at every call. Rejects when they are not those that were kept. */
  readonly readTree: () => Promise<readonly string[]>;
}

/**
 * Baselines of VMs, in the service's own state: one kept on the VM could be rewritten by whoever became root there.
 * For each member a JSON file and the packed survey, which is read only when something differs.
 */
export class Baselines {
  constructor(private readonly folder: string) {}

  /** @param stream the survey as it came from the VM, packed: kept as it is, and unpacked only when needed. */
  async write(member: MemberName, takenAt: number, reference: Reference, stream: Buffer): Promise<void> {
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    const treeFile = createHash('sha256').update(stream).digest('hex');
    await this.#put(`${this.#name(member)}.survey.gz`, stream);
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
      if (isAbsent(error)) return null;
      throw error;
    }
    const parsed = shape.safeParse(safeJson(json));
    if (!parsed.success) throw new Error(`${path} is damaged: retire the VM, its baseline cannot be trusted`);
    const { takenAt, treeFile, reference } = parsed.data;
    const readTree = async (): Promise<readonly string[]> => {
      const packed = await readFile(join(this.folder, `${this.#name(member)}.survey.gz`));
      if (createHash('sha256').update(packed).digest('hex') !== treeFile) {
        throw new Error(
          `the survey beside ${path} is damaged: retire the VM, its baseline cannot be trusted`,
        );
      }
      const survey = parseSurvey(await unpack(packed));
      if (!survey) throw new Error(`the survey beside ${path} cannot be read: retire the VM`);
      return survey.tree;
    };
    return { takenAt, reference, readTree };
  }

  async remove(member: MemberName): Promise<void> {
    for (const ending of endings)
      await rm(join(this.folder, `${this.#name(member)}.${ending}`), { force: true });
  }

  /** Removes the files of everybody else, half-written ones too. */
  async keepOnly(members: ReadonlySet<MemberName>): Promise<void> {
    const kept = new Set([...members].flatMap((member) => endings.map((ending) => `${member}.${ending}`)));
    for (const name of await this.#files()) {
      const ours = endings.some((ending) => name.replace(/\.new$/, '').endsWith(`.${ending}`));
      if (ours && !kept.has(name)) await rm(join(this.folder, name), { force: true });
    }
  }

  async #files(): Promise<readonly string[]> {
    try {
      return await readdir(this.folder);
    } catch (error) {
      if (isAbsent(error)) return [];
      throw error;
    }
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

function isAbsent(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'ENOENT';
}
