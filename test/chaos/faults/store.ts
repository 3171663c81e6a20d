import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import type { Random } from '../../sim/random.js';

/** Cuts a file off somewhere before its end. Returns what was done. */
export const truncate = (path: string, random: Random): string => {
  const { length } = readFileSync(path);
  const kept = random.between(0, Math.max(0, length - 1));
  truncateSync(path, kept);
  return `cut off after ${String(kept)} of ${String(length)} bytes`;
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
