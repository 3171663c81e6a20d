import { chmodSync, chownSync, lstatSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** Writes a file of root's, whole or not at all; directories that it needs are made for all to read. */
export function writeWhole(path: string, text: string, mode: number): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  const beside = `${path}.${process.pid}.new`;
  writeFileSync(beside, text, { mode: 0o600 });
  chownSync(beside, 0, 0);
  chmodSync(beside, mode);
  renameSync(beside, path);
}

/** Whether a plain file of root's with this text and mode stands at `path`. */
export function standsThere(path: string, text: string, mode: number): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return (
    stat?.isFile() === true &&
    stat.uid === 0 &&
    (stat.mode & 0o7777) === mode &&
    readFileSync(path, 'utf8') === text
  );
}
