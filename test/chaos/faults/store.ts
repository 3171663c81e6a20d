import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import type { Random } from '../../sim/random.js';

/** Cuts a file off somewhere before its end. Returns what was done. */
export const truncate = (path: string, random: Random): string => {
  const { length } = readFileSync(path);
  const kept = random.between(0, Math.max(0, length - 1));
  truncateSync(path, kept);
  return `cut off after ${String(kept)} of ${String(length)} bytes`;
};

/** Cuts a journal off within one of its commits. Null, and nothing done, when there is none in it. */
export const cutWithinCommit = (path: string, bytes: Buffer, random: Random): string | null => {
  const first = bytes.indexOf(10) + 1;
  if (first === 0 || first + 1 >= bytes.length) return null;
  const at = random.between(first + 1, bytes.length - 1);
  // What ends with a line shows nothing of what stood behind it.
  const kept = bytes[at - 1] === 10 ? at - 1 : at;
  truncateSync(path, kept);
  const commits = bytes.subarray(kept).filter((byte) => byte === 10).length;
  return `the last ${String(commits)} commits cut off, in part or wholly`;
};

/** Flips one bit of a file. Returns what was done. */
export const flipBit = (path: string, random: Random): string => {
  const bytes = readFileSync(path);
  const at = random.between(0, bytes.length - 1);
  const bit = random.between(0, 7);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
  // In place, as a bad disk would: the file keeps its inode.
  writeFileSync(path, bytes, { flag: 'r+' });
  return `bit ${String(bit)} of byte ${String(at)} of ${String(bytes.length)} flipped`;
};
