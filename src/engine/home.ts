import { accessSync, constants, mkdirSync, readdirSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * Makes `home` a PULUMI_HOME of its own that has the installed engine's plugins, and returns it. Pulumi writes into
 * its home (logs, workspaces, when a plugin was last used), and the installed one may belong to root, or to more
 * than one service. Plugins that the engine no longer has are taken out.
 *
 * Directories are made and the programs linked, because Pulumi passes over a plugin whose directory is a link.
 */
export const pulumiHomeAt = (home: string, installed: string): string => {
  const plugins = join(home, 'plugins');
  mkdirSync(plugins, { recursive: true, mode: 0o700 });
  const wanted = readdirSync(join(installed, 'plugins'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
  for (const entry of readdirSync(plugins, { withFileTypes: true }))
    if (entry.isDirectory() && !wanted.includes(entry.name))
      rmSync(join(plugins, entry.name), { recursive: true, force: true });
  for (const plugin of wanted) {
    mkdirSync(join(plugins, plugin), { recursive: true, mode: 0o700 });
    for (const file of readdirSync(join(installed, 'plugins', plugin)))
      link(join(installed, 'plugins', plugin, file), join(plugins, plugin, file));
  }
  return home;
};

/** Where a person's own `pulumi` may write: the installed home if that is theirs, else one of their own. */
export const personalPulumiHome = (
  installed: string,
  env: Readonly<Record<string, string | undefined>>,
): string => {
  try {
    accessSync(installed, constants.W_OK);
    return installed;
  } catch {
    const cache = nonEmpty(env['XDG_CACHE_HOME']) ?? join(nonEmpty(env['HOME']) ?? homedir(), '.cache');
    return pulumiHomeAt(join(cache, 'vmpool', 'pulumi-home'), installed);
  }
};

const nonEmpty = (text: string | undefined): string | undefined => (text === '' ? undefined : text);

/** A link that leads elsewhere is of an older engine; two processes may do this at the same time. */
const link = (target: string, path: string): void => {
  if (linked(path) === target) return;
  rmSync(path, { recursive: true, force: true });
  try {
    symlinkSync(target, path);
  } catch (error) {
    if (linked(path) !== target) throw error;
  }
};

const linked = (path: string): string | undefined => {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
};
