import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { MachineSpec } from '../machines.js';
import type { HostKey } from './host-key.js';
import { readUserData, shellQuote, type BootPlan } from './user-data.js';

const DISABLED_ROOT =
  'no-port-forwarding,no-agent-forwarding,no-X11-forwarding,command="echo \'Please login as the user \\"debian\\" rather than the user \\"root\\".\';echo;sleep 1;exit 142" ';

/** The console from power-on to the end of the key block, as a Debian cloud image prints it. */
export function consoleBanner(spec: MachineSpec, hostKey: HostKey): string {
  return [
    `[    0.000000] Linux version: sandbox of image ${spec.image.name}`,
    `[    0.412031] ${spec.name}: disk is ready`,
    `cloud-init[1]: instance ${spec.id} (${spec.name})`,
    'ci-info: ' + spec.addresses.join(', '),
    '-----BEGIN SSH HOST KEY FINGERPRINTS-----',
    `256 ${hostKey.fingerprint} root@${spec.name} (ED25519)`,
    '-----END SSH HOST KEY FINGERPRINTS-----',
    '-----BEGIN SSH HOST KEY KEYS-----',
    hostKey.publicLine,
    '-----END SSH HOST KEY KEYS-----',
    '',
  ].join('\n');
}

/** Runs in the guest; every step's failure is shown on the console and stops no other. */
function bootScript(spec: MachineSpec, plan: BootPlan, addresses: readonly string[]): string {
  const lines = [
    '# Written by the embedded cloud: what cloud-init would do.',
    'mkdir -p /run/vm-config-drive && cp -a /var/lib/vm-boot/config-drive/. /run/vm-config-drive/',
    `if [ -e /var/lib/vm-boot/done ]; then echo ${shellQuote(`${spec.name} login: (rebooted)`)}; exit 0; fi`,
    ': > /var/lib/vm-boot/done',
    ...plan.warnings.map((warning) => `echo ${shellQuote(`cloud-init[1]: WARNING: ${warning}`)}`),
  ];
  for (const user of plan.users) {
    const home = `/home/${user.name}`;
    lines.push(
      `id -u ${shellQuote(user.name)} >/dev/null 2>&1 || useradd -m -d ${shellQuote(home)} -s ${shellQuote(user.shell ?? '/bin/bash')} ${shellQuote(user.name)}`,
    );
    if (user.keys.length > 0)
      lines.push(
        `install -d -m 700 -o ${shellQuote(user.name)} ${shellQuote(`${home}/.ssh`)}`,
        `printf '%s\\n' ${user.keys.map(shellQuote).join(' ')} > ${shellQuote(`${home}/.ssh/authorized_keys`)}`,
        `chmod 600 ${shellQuote(`${home}/.ssh/authorized_keys`)}; chown ${shellQuote(`${user.name}:`)} ${shellQuote(`${home}/.ssh/authorized_keys`)}`,
      );
    if (user.sudo)
      lines.push(
        `if [ -d /etc/sudoers.d ]; then echo ${shellQuote(`${user.name} ALL=(ALL) NOPASSWD:ALL`)} > ${shellQuote(`/etc/sudoers.d/90-${user.name}`)}; fi`,
      );
  }
  plan.files.forEach((file, index) => {
    const source = `/var/lib/vm-boot/files/${index}`;
    lines.push(
      `mkdir -p ${shellQuote(dirname(file.path))}`,
      `cat ${source} ${file.append ? '>>' : '>'} ${shellQuote(file.path)}`,
      `chmod ${file.mode.toString(8)} ${shellQuote(file.path)}; chown ${shellQuote(file.owner)} ${shellQuote(file.path)}`,
    );
  });
  for (const command of plan.commands)
    lines.push(`( ${command}\n) || echo "cloud-init[1]: a command failed with $?"`);
  plan.scripts.forEach((_script, index) =>
    lines.push(
      `/var/lib/vm-boot/scripts/${index} || echo "cloud-init[1]: user-data script ${index} failed with $?"`,
    ),
  );
  lines.push(
    `echo ${shellQuote(`cloud-init[1]: finished. Addresses: ${addresses.join(' ')}`)}`,
    `echo ${shellQuote(`${spec.name} login: `)}`,
    '',
  );
  return lines.join('\n');
}

function metaData(spec: MachineSpec): object {
  return {
    uuid: spec.id,
    name: spec.name,
    hostname: spec.name,
    meta: spec.metadata,
    project_id: spec.projectId,
    availability_zone: spec.availabilityZone,
    launch_index: 0,
    ...(spec.key && {
      public_keys: { [spec.key.name]: spec.key.publicKey },
      keys: [{ name: spec.key.name, type: 'ssh', data: spec.key.publicKey }],
    }),
  };
}

/**
 * Writes the files that a machine finds at its first boot into `root`.
 * @returns nothing; rejects if the tree cannot be written.
 */
export async function writeSeed(root: string, spec: MachineSpec, hostKey: HostKey): Promise<void> {
  const plan = readUserData(spec.ignoreUserData ? undefined : spec.userData);
  const folder = async (path: string, mode: number): Promise<void> => {
    await mkdir(join(root, path), { recursive: true });
    await chmod(join(root, path), mode);
  };
  const file = async (path: string, content: string | Buffer, mode: number): Promise<void> => {
    await writeFile(join(root, path), content);
    await chmod(join(root, path), mode);
  };
  for (const [path, mode] of [
    ['.', 0o755],
    ['etc', 0o755],
    ['etc/ssh', 0o755],
    ['root', 0o700],
    ['root/.ssh', 0o700],
    ['var', 0o755],
    ['var/lib', 0o755],
    ['var/lib/vm-boot', 0o700],
    ['var/lib/vm-boot/scripts', 0o700],
    ['var/lib/vm-boot/files', 0o700],
    ['var/lib/vm-boot/config-drive', 0o700],
    ['var/lib/vm-boot/config-drive/openstack', 0o700],
    ['var/lib/vm-boot/config-drive/openstack/latest', 0o700],
  ] as const)
    await folder(path, mode);
  await file('etc/hostname', `${spec.name}\n`, 0o644);
  await file(
    'etc/hosts',
    `127.0.0.1 localhost\n127.0.1.1 ${spec.name}\n::1 localhost ip6-localhost\n`,
    0o644,
  );
  await file('etc/machine-id', `${spec.id.replaceAll('-', '')}\n`, 0o444);
  await file('etc/vm-image', `${spec.image.id} ${spec.image.name}\n`, 0o644);
  await file('etc/ssh/ssh_host_ed25519_key', hostKey.privateKey, 0o600);
  await file('etc/ssh/ssh_host_ed25519_key.pub', `${hostKey.publicLine}\n`, 0o644);
  const keys = [
    ...(spec.key && !spec.ignoreUserData ? [spec.key.publicKey.trim()] : []),
    ...plan.authorizedKeys,
  ];
  const prefix = plan.disableRoot ? DISABLED_ROOT : '';
  await file('root/.ssh/authorized_keys', keys.map((key) => `${prefix}${key}\n`).join(''), 0o600);
  const drive = 'var/lib/vm-boot/config-drive/openstack/latest';
  await file(`${drive}/meta_data.json`, `${JSON.stringify(metaData(spec))}\n`, 0o600);
  if (spec.userData !== undefined)
    await file(`${drive}/user_data`, Buffer.from(spec.userData, 'base64'), 0o600);
  for (const [index, each] of plan.files.entries())
    await file(`var/lib/vm-boot/files/${index}`, each.content, 0o600);
  for (const [index, each] of plan.scripts.entries())
    await file(`var/lib/vm-boot/scripts/${index}`, each, 0o700);
  await file('var/lib/vm-boot/boot', bootScript(spec, plan, spec.addresses), 0o700);
}
