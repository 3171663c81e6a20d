/** Whether dist/ is what the sources would give, and what in it has no source any more. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';

const sourceDirs = ['src', 'stacks', 'hooks', 'test/mom', 'test/chaos'];
/** Folders of dist/ that hold one compiled file for each source, and nothing else. */
const compiledDirs = ['src', 'stacks', 'hooks', 'test'];
const contents = ['package-lock.json'];
const files = [
  'tsconfig.json',
  'tsconfig.build.json',
  'scripts/bundle-hooks.mjs',
  'scripts/bundle-cli.mjs',
  'scripts/bundle-dashboard.mjs',
  'scripts/whole-file.mjs',
  'package.json',
];

function filesBelow(dir) {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name);
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
}

/**
 * Changes with every source that is added, changed, renamed or deleted: names, sizes and times, so that looking
 * costs milliseconds.
 */
export function sourcesStamp(root) {
  const hash = createHash('sha256');
  for (const name of contents) hash.update(readFileSync(join(root, name)));
  const paths = [
    ...sourceDirs.flatMap((dir) => filesBelow(join(root, dir))),
    ...files.map((f) => join(root, f)),
  ];
  for (const path of paths.sort()) {
    const { mtimeMs, size } = statSync(path);
    hash.update(`${relative(root, path)}\0${size}\0${mtimeMs}\n`);
  }
  return hash.digest('hex');
}

const extensions = { '.js': '.ts', '.mjs': '.mts', '.cjs': '.cts' };

/** The source that a compiled file or its map comes from. */
function sourceOf(path) {
  const match = /^(.*?)(\.[mc]?js)(\.map)?$/.exec(path);
  return match === null ? path : match[1] + extensions[match[2]];
}

/** Removes compiled files whose source is gone: a test or an import would still find them. Returns their names. */
export function removeOrphans(root) {
  const dist = join(root, 'dist');
  const orphans = compiledDirs
    .flatMap((dir) => filesBelow(join(dist, dir)))
    .map((path) => relative(dist, path))
    .filter((path) => !existsSync(join(root, sourceOf(path))));
  for (const path of orphans) rmSync(join(dist, path), { force: true });
  return orphans;
}

/**
 * The compiler remembers what it has written and does not look whether it is still there: without this, what was
 * deleted from dist/ by hand would never come back.
 */
export function forgetLostOutput(root) {
  const sources = sourceDirs
    .flatMap((dir) => filesBelow(join(root, dir)))
    .map((path) => relative(root, path))
    .filter((path) => /\.[mc]?ts$/.test(path) && !/\.d\.[mc]?ts$/.test(path));
  const lost = sources.some((path) => !existsSync(join(root, 'dist', path.replace(/ts$/, 'js'))));
  if (lost) rmSync(join(root, '.cache', 'build.tsbuildinfo'), { force: true });
}
