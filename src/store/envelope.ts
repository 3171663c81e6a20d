import { createHash } from 'node:crypto';

/**
 * What stands around the document on disk: one JSON object (so that `jq` reads it) on one line, whose fields
 * come in a fixed order, the document last. The checksum covers every byte of meaning, version included: a
 * flipped bit there would send a document through the wrong migrations.
 */
export interface Envelope {
  readonly version: number;
  readonly savedAt: string;
  /** How this file came here: written by a commit, or put back from an earlier copy by an operator. */
  readonly origin: 'commit' | 'restored';
  /** The document's JSON, exactly as it was written. */
  readonly json: string;
}

export type Decoded =
  | { readonly ok: true; readonly envelope: Envelope; readonly sha256: string }
  | { readonly ok: false; readonly why: string };

const header =
  /^\{"format":"vmpool-store","version":(\d{1,9}),"savedAt":"([0-9TZ:.+-]{20,40})","origin":"(commit|restored)","sha256":"([0-9a-f]{64})","document":/;
const tail = '}\n';
/** Longer than any header that `encode` writes. */
const longestHeader = 512;

const checksum = (version: number, savedAt: string, origin: string, json: string | Buffer): string =>
  createHash('sha256')
    .update(`${String(version)}\n${savedAt}\n${origin}\n`)
    .update(json)
    .digest('hex');

export const encode = (envelope: Envelope): string => sealEnvelope(envelope).text;

/** The file's text and the checksum in it. */
export const sealEnvelope = ({
  version,
  savedAt,
  origin,
  json,
}: Envelope): { readonly text: string; readonly sha256: string } => {
  const sha256 = checksum(version, savedAt, origin, json);
  const text =
    `{"format":"vmpool-store","version":${String(version)},"savedAt":"${savedAt}","origin":"${origin}",` +
    `"sha256":"${sha256}","document":${json}${tail}`;
  return { text, sha256 };
};

/** Reads what `encode` wrote; anything else is told apart by what an operator would see in the file. */
export const decode = (bytes: Buffer): Decoded => {
  if (bytes.length === 0) return { ok: false, why: 'the file is empty' };
  const found = header.exec(bytes.toString('latin1', 0, longestHeader));
  if (found === null) {
    return {
      ok: false,
      why: bytes.includes(0)
        ? 'the file holds zero bytes, as after a crash of a disk or file system'
        : 'the file does not begin as a store of VM Pool does',
    };
  }
  const [whole, version = '', savedAt = '', origin = '', sha256 = ''] = found;
  if (bytes.toString('latin1', bytes.length - tail.length) !== tail) {
    return { ok: false, why: 'the file is cut off before its end' };
  }
  // The bytes and not their decoded text: decoding would repair broken UTF-8 silently.
  const json = bytes.subarray(whole.length, bytes.length - tail.length);
  if (checksum(Number(version), savedAt, origin, json) !== sha256) {
    return { ok: false, why: 'the checksum does not match: the content was changed or is not whole' };
  }
  return {
    ok: true,
    sha256,
    envelope: {
      version: Number(version),
      savedAt,
      origin: origin === 'restored' ? 'restored' : 'commit',
      json: json.toString('utf8'),
    },
  };
};
