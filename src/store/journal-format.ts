import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { PatchOperation } from './patch.js';

/**
 * A journal belongs to one snapshot and is named after its checksum. Each of its lines is one JSON object that ends
 * with a checksum over itself and the checksum of the line before it: a line that is changed, moved, left out or
 * taken from another journal does not fit. The first line tells whose journal it is, each further one is a commit.
 */
export interface JournalHeader {
  /** Version of the documents that the patches apply to. */
  readonly version: number;
  /** Checksum of the snapshot that the first patch applies to. */
  readonly snapshot: string;
  /** Snapshot of the journal before this one, whose changes are in this one's snapshot; null for none. */
  readonly after: string | null;
}

export interface JournalRecord {
  readonly at: string;
  readonly patch: readonly PatchOperation[];
}

export interface JournalRead {
  readonly header: JournalHeader | null;
  /** In their order; with damage, those before it. */
  readonly records: readonly JournalRecord[];
  /** In the operator's words; null when everything that was ever acknowledged is there, as far as can be seen. */
  readonly damage: string | null;
  /**
   * It ends within a line. That is what a crash leaves of a commit that nobody was told of; but whoever cut a file off
   * leaves the same, and then lines before it may be missing.
   */
  readonly cutOff: boolean;
}

const checksumText = z.string().regex(/^[0-9a-f]{64}$/);
const headerSchema = z.strictObject({
  format: z.literal('vmpool-journal'),
  version: z.int(),
  snapshot: checksumText,
  after: checksumText.nullable(),
  sha256: checksumText,
});
const operationSchema: z.ZodType<PatchOperation> = z.discriminatedUnion('op', [
  z.strictObject({ op: z.literal('add'), path: z.string(), value: z.unknown() }),
  z.strictObject({ op: z.literal('replace'), path: z.string(), value: z.unknown() }),
  z.strictObject({ op: z.literal('remove'), path: z.string() }),
]);
const recordSchema = z.strictObject({
  n: z.int(),
  at: z.string(),
  patch: z.array(operationSchema),
  sha256: checksumText,
});

export interface Sealed {
  readonly line: string;
  readonly sha256: string;
}

const chained = (previous: string, body: string | Buffer): string =>
  createHash('sha256').update(previous).update('\n').update(body).digest('hex');

const seal = (previous: string, content: Readonly<Record<string, unknown>>): Sealed => {
  const body = JSON.stringify(content).slice(0, -1);
  const sha256 = chained(previous, body);
  return { line: `${body},"sha256":"${sha256}"}\n`, sha256 };
};

export const encodeHeader = ({ version, snapshot, after }: JournalHeader): Sealed =>
  seal('', { format: 'vmpool-journal', version, snapshot, after });

/** Commit number `n`, from 1, after the line with the checksum `previous`. */
export const encodeRecord = (previous: string, n: number, { at, patch }: JournalRecord): Sealed =>
  seal(previous, { n, at, patch });

/** Length of `,"sha256":"<64 digits>"}`. */
const sealLength = 77;

/** The checksum of a whole line without its end, null when it does not fit. */
const checkedSeal = (previous: string, line: Buffer): string | null => {
  const end = line.length - sealLength;
  if (end < 1) return null;
  const sha256 = chained(previous, line.subarray(0, end));
  return line.toString('latin1', end) === `,"sha256":"${sha256}"}` ? sha256 : null;
};

/**
 * Reads a journal. A crash can cut off the last line, which nobody was told of then: it is left out. Anything else
 * that does not fit is damage. (What a disk forgets of whole lines at the very end leaves no trace.)
 */
export const readJournal = (bytes: Buffer): JournalRead => {
  const cutOff = bytes.at(-1) !== 10;
  let header: JournalHeader | null = null;
  const records: JournalRecord[] = [];
  const damaged = (what: string): JournalRead => ({ header, records, damage: what, cutOff });
  let previous = '';
  let start = 0;
  while (start < bytes.length) {
    const newline = bytes.indexOf(10, start);
    const line = bytes.subarray(start, newline === -1 ? bytes.length : newline);
    const sha256 = checkedSeal(previous, line);
    const where = header === null ? 'its first line' : `change ${String(records.length + 1)}`;
    if (sha256 === null) {
      if (newline !== -1 || header === null)
        return damaged(`${where} does not match its checksum: it was changed or is not whole`);
      // A whole line and one byte more: its end was changed, it was not cut off.
      if (checkedSeal(previous, line.subarray(0, -1)) !== null)
        return damaged(`the end of ${where} was changed`);
      break;
    }
    const json: unknown = JSON.parse(line.toString('utf8'));
    if (header === null) {
      const parsed = headerSchema.safeParse(json);
      if (!parsed.success) return damaged('it does not begin as a journal of VM Pool does');
      const { version, snapshot, after } = parsed.data;
      header = { version, snapshot, after };
    } else {
      const parsed = recordSchema.safeParse(json);
      if (!parsed.success || parsed.data.n !== records.length + 1) return damaged(`${where} is not a change`);
      records.push({ at: parsed.data.at, patch: parsed.data.patch });
    }
    previous = sha256;
    start = newline === -1 ? bytes.length : newline + 1;
  }
  return header === null ? damaged('it is empty') : { header, records, damage: null, cutOff };
};
