/** Files that appear whole: what runs, loads or installs them meanwhile never reads half of one. */
import { chmod, rename, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** Writes `content` beside `path`, with that mode whatever the umask, and renames it to its place in a directory that is there. */
export async function putWhole(path, content, mode = 0o644) {
  const beside = join(dirname(path), `.${basename(path)}.${process.pid}.new`);
  await writeFile(beside, content);
  await chmod(beside, mode);
  await rename(beside, path);
}
