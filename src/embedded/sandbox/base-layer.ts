import { spawn } from 'node:child_process';
import type { Dirent, Stats } from 'node:fs';
import { chmod, chown, lstat, mkdir, readFile, readdir, statfs, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * The layer of files between the host's root and the machines' own disks: it hides what a machine must not see and
 * gives it accounts and an SSH server of its own.
 *
 * At the top level it is an allow-list: only the folders that hold programs shine through. /opt is not among them:
 * what is installed or kept there comes and goes while machines run, and a machine whose files change by themselves
 * is never clean after a job.
 */
const SHOWN = new Set(['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32', 'usr', 'etc']);

/** Folders where people keep what they write: whatever the host does not let everyone read there is hidden too. */
const GUARDED: readonly string[] = ['/etc', '/usr/local'];

/** Folders that every machine has, with their modes. */
const SKELETON: readonly (readonly [string, number])[] = [
  ['dev', 0o755],
  ['proc', 0o555],
  ['sys', 0o555],
  ['run', 0o755],
  ['tmp', 0o1777],
  ['root', 0o700],
  ['home', 0o755],
  ['mnt', 0o755],
  ['media', 0o755],
  ['opt', 0o755],
  ['srv', 0o755],
  ['var', 0o755],
  ['var/cache', 0o755],
  ['var/lib', 0o755],
  ['var/log', 0o755],
  ['var/mail', 0o2775],
  ['var/opt', 0o755],
  ['var/spool', 0o755],
  ['var/spool/cron', 0o755],
  ['var/spool/cron/crontabs', 0o1730],
  ['var/spool/cron/atjobs', 0o1770],
  ['var/spool/cron/atspool', 0o1770],
  ['var/tmp', 0o1777],
];

/** Readable settings of the host's own clients, which may carry tokens or addresses. */
const CLIENT_SETTINGS = [
  '/etc/npmrc',
  '/etc/pip.conf',
  '/etc/gitconfig',
  '/etc/wgetrc',
  '/etc/apt',
  '/usr/local/etc/npmrc',
  '/usr/local/etc/pip.conf',
  '/usr/local/etc/gitconfig',
];

/**
 * What a machine gets on top of its base system and a VM's image does not hold: documentation, headers, runtimes and
 * kits for developers, modules that other programs brought along. The survey of a server, at its first start and after
 * each job, reads every file that it has: on a developer's machine most of those below /usr are here.
 */
const NOT_IN_AN_IMAGE = [
  '/usr/include',
  '/usr/lib/debug',
  '/usr/lib/erlang',
  '/usr/lib/google-cloud-sdk',
  '/usr/lib/jvm',
  '/usr/lib/node_modules',
  '/usr/lib/python3',
  '/usr/lib/rabbitmq',
  '/usr/local/go',
  '/usr/local/include',
  '/usr/local/lib/node_modules',
  '/usr/share/doc',
  '/usr/share/fonts',
  '/usr/share/help',
  '/usr/share/icons',
  '/usr/share/info',
  '/usr/share/java',
  '/usr/share/jruby',
  '/usr/share/locale',
  '/usr/share/man',
  '/usr/share/maven-repo',
  '/usr/share/vim',
  '/usr/src',
];

/** Without the post-quantum exchange, which costs each side some 60 ms of processor time and defends nothing here. */
const SSHD_CONFIG = `# Written by the embedded cloud.
KexAlgorithms curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile .ssh/authorized_keys /etc/vmpool/keys/%u
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM yes
UseDNS no
PrintMotd no
PrintLastLog no
X11Forwarding no
AcceptEnv LANG LC_*
Subsystem sftp internal-sftp
PidFile none
`;

/** Without PAM, sshd refuses accounts whose password is locked, which is how useradd makes them. */
const PAM_SSHD = `auth required pam_deny.so
account required pam_nologin.so
account required pam_unix.so
password required pam_deny.so
session required pam_limits.so
session optional pam_env.so
`;

interface Account {
  readonly name: string;
  readonly line: string;
}

/** System accounts of the host: every account below 1000, and nobody. Ordinary users of the host do not exist. */
export function systemAccounts(passwd: string): Account[] {
  const accounts = passwd
    .split('\n')
    .map((line) => ({ name: line.split(':')[0] ?? '', line, id: Number(line.split(':')[2]) }))
    .filter((entry) => entry.name !== '' && (entry.id < 1000 || entry.id === 65534));
  return accounts.map(({ name, line }) =>
    name === 'root' ? { name, line: 'root:x:0:0:root:/root:/bin/bash' } : { name, line },
  );
}

/** System groups, without the host's ordinary users as their members. */
export function systemGroups(group: string, accounts: ReadonlySet<string>): Account[] {
  const groups: Account[] = [];
  for (const line of group.split('\n')) {
    const [name, , id, members] = line.split(':');
    if (!name || !(Number(id) < 1000 || Number(id) === 65534)) continue;
    const kept = (members ?? '').split(',').filter((member) => accounts.has(member));
    groups.push({ name, line: `${name}:x:${id}:${kept.join(',')}` });
  }
  return groups;
}

class LayerWriter {
  readonly marks: string[] = [];

  constructor(readonly root: string) {}

  async folder(path: string, mode: number): Promise<void> {
    const target = join(this.root, path);
    await mkdir(target, { recursive: true });
    await chmod(target, mode);
  }

  async file(path: string, content: string, mode = 0o644): Promise<void> {
    const target = join(this.root, path);
    await writeFile(target, content);
    await chmod(target, mode);
  }

  /** Makes a folder that shows the host's content of the same path, with the host's mode and owner. */
  async seeThrough(path: string): Promise<void> {
    if (path === '/' || path === '.') return;
    await this.seeThrough(dirname(path));
    const target = join(this.root, path);
    try {
      await mkdir(target);
    } catch {
      return;
    }
    const host = await lstat(path);
    await chmod(target, host.mode & 0o7777);
    await chown(target, host.uid, host.gid);
  }

  opaque(path: string): void {
    this.marks.push(`opaque ${path}`);
  }

  whiteout(path: string): void {
    this.marks.push(`whiteout ${path}`);
  }
}

async function entries(path: string): Promise<Dirent[]> {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch {
    return [];
  }
}

/** Null: it went while the folder was being read. */
async function lookAt(path: string): Promise<Stats | null> {
  try {
    return await lstat(path);
  } catch {
    return null;
  }
}

/** `hidden`: what is hidden anyway, with all below it. */
async function hideUnreadable(
  layer: LayerWriter,
  folder: string,
  hidden: ReadonlySet<string>,
): Promise<void> {
  const found = (await entries(folder)).filter(
    (entry) => !entry.isSymbolicLink() && !hidden.has(join(folder, entry.name)),
  );
  const looks = await Promise.all(
    found.map(async (entry) => ({ entry, status: await lookAt(join(folder, entry.name)) })),
  );
  for (const { entry, status } of looks) {
    if (!status) continue;
    const path = join(folder, entry.name);
    const readable = (status.mode & (entry.isDirectory() ? 0o005 : 0o004)) !== 0;
    if (!readable) {
      await layer.seeThrough(folder);
      layer.whiteout(path);
    } else if (entry.isDirectory()) {
      await hideUnreadable(layer, path, hidden);
    }
  }
}

async function hidePath(layer: LayerWriter, path: string): Promise<void> {
  const top = path.split('/')[1] ?? '';
  if (!SHOWN.has(top)) return;
  try {
    await lstat(path);
  } catch {
    return;
  }
  await layer.seeThrough(dirname(path));
  layer.whiteout(path);
}

async function writeAccounts(layer: LayerWriter): Promise<void> {
  const accounts = systemAccounts(await readFile('/etc/passwd', 'utf8'));
  if (!accounts.some((account) => account.name === 'sshd'))
    accounts.push({ name: 'sshd', line: 'sshd:x:998:65534::/run/sshd:/usr/sbin/nologin' });
  const groups = systemGroups(
    await readFile('/etc/group', 'utf8'),
    new Set(accounts.map(({ name }) => name)),
  );
  const text = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');
  await layer.file('etc/passwd', text(accounts.map(({ line }) => line)));
  await layer.file('etc/shadow', text(accounts.map(({ name }) => `${name}:*:20000:0:99999:7:::`)), 0o640);
  await layer.file('etc/group', text(groups.map(({ line }) => line)));
  await layer.file('etc/gshadow', text(groups.map(({ name }) => `${name}:*::`)), 0o640);
  await layer.file('etc/subuid', '');
  await layer.file('etc/subgid', '');
  for (const backup of ['passwd-', 'shadow-', 'group-', 'gshadow-'])
    await layer.file(`etc/${backup}`, '', 0o600);
}

async function applyMarks(program: string, layer: LayerWriter): Promise<void> {
  const child = spawn(program, ['layer', layer.root], { stdio: ['pipe', 'ignore', 'pipe'] });
  let problem = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (problem += text));
  child.stdin.end(layer.marks.map((mark) => `${mark}\n`).join(''));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject).on('close', resolve);
  });
  if (code !== 0)
    throw new Error(`cannot hide the host's files from the sandboxes in ${layer.root}: ${problem}`);
}

/** Overlayfs cannot take layers with marks from another overlay, so a state directory in a container will not do. */
const OVERLAYFS_MAGIC = 0x794c7630;

export async function canHoldLayers(folder: string): Promise<boolean> {
  return (await statfs(folder)).type !== OVERLAYFS_MAGIC;
}

/**
 * Writes the layer into `root` (made if absent, and owned by the caller, who removes it).
 * @param masked absolute paths that must not be seen even where the allow-list would show them: the cloud's state
 *   directory and the project's own checkout.
 * @param guarded folders below which everything is hidden that not everyone may read.
 */
export async function writeBaseLayer(
  program: string,
  root: string,
  masked: readonly string[],
  guarded = GUARDED,
): Promise<void> {
  const layer = new LayerWriter(root);
  await layer.folder('.', 0o755);
  const own = new Set(SKELETON.map(([path]) => path));
  for (const entry of await entries('/')) {
    if (SHOWN.has(entry.name)) continue;
    if (entry.isDirectory() && own.has(entry.name)) {
      await layer.folder(entry.name, 0o755);
      layer.opaque(`/${entry.name}`);
    } else {
      layer.whiteout(`/${entry.name}`);
    }
  }
  for (const [path, mode] of SKELETON) await layer.folder(path, mode);
  await layer.seeThrough('/etc');
  const hidden = new Set([...CLIENT_SETTINGS, ...NOT_IN_AN_IMAGE, ...masked]);
  for (const folder of guarded) await hideUnreadable(layer, folder, hidden);
  for (const path of hidden) await hidePath(layer, path);
  const rewritten = new Set([
    '/etc/shadow',
    '/etc/shadow-',
    '/etc/gshadow',
    '/etc/gshadow-',
    '/etc/passwd-',
    '/etc/group-',
  ]);
  const kept = layer.marks.filter(
    (mark) => !rewritten.has(mark.replace('whiteout ', '')) && !mark.startsWith('whiteout /etc/ssh/'),
  );
  layer.marks.splice(0, layer.marks.length, ...kept);
  await writeAccounts(layer);
  await layer.folder('etc/ssh', 0o755);
  layer.opaque('/etc/ssh');
  await layer.file('etc/ssh/sshd_config', SSHD_CONFIG);
  await layer.seeThrough('/etc/pam.d');
  await layer.folder('etc/pam.d', 0o755);
  await layer.file('etc/pam.d/sshd', PAM_SSHD);
  await layer.file('etc/environment', '');
  await layer.file('etc/resolv.conf', '');
  await layer.file('etc/fstab', '');
  await layer.file('etc/motd', '');
  await applyMarks(program, layer);
}
