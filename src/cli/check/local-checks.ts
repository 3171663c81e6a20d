import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import ssh2 from 'ssh2';
import { installHooks } from '../../../hooks/install.js';
import { locatedEngine } from '../../engine/located.js';
import { errorText } from '../../store/files.js';
import { bundledHooks } from '../commands/hooks.js';
import { count } from '../table.js';
import { ownerOf } from './book-file.js';
import { unless, type Verdict } from './finding.js';
import type { Subject } from './subject.js';

export const checkEngine = async (): Promise<Verdict> => {
  const { versions, pulumi, source } = await locatedEngine();
  return {
    ok: `pulumi ${versions.cli} (${source}, ${pulumi}); openstack ${versions.openstack}, command ${versions.command}, language host ${versions['language-nodejs']}`,
  };
};

export const checkBackend = async ({ config, pulumi }: Subject): Promise<Verdict> => {
  const { backend } = config.engine;
  if (backend.startsWith('file://')) {
    const directory = backend.slice('file://'.length);
    if (!existsSync(directory)) return { note: `${directory} is not there yet; the service makes it` };
    try {
      accessSync(directory, constants.R_OK | constants.W_OK);
    } catch {
      return {
        faults: [`${directory} cannot be written by this user: run as the service's user, or chown it`],
      };
    }
    return { ok: `${directory} can be written` };
  }
  const result = await (await pulumi()).run(['stack', 'ls', '--json'], AbortSignal.timeout(60_000));
  return result.code === 0
    ? { ok: `${backend} answers; whether it can be written shows with the first update` }
    : { faults: [`${backend} cannot be used: ${result.stderr.trim()}`] };
};

export const checkPoolStack = async ({ shape }: Subject): Promise<Verdict> => {
  const { min, max, spare, generation } = await shape();
  return { ok: `min ${String(min)}, max ${String(max)}, spare ${String(spare)}, generation ${generation}` };
};

/** Can the key be used, and is it the one that the VMs let in? */
export const checkAdminKey = async ({ config, shape }: Subject): Promise<Verdict> => {
  const file = config.guest.privateKeyFile;
  const parsed = ssh2.utils.parseKey(readFileSync(file));
  if (parsed instanceof Error) {
    return {
      faults: [
        `${file} is no private key without passphrase (${parsed.message}): make one with ssh-keygen -t ed25519 -N ''`,
      ],
    };
  }
  const blob = parsed.getPublicSSH().toString('base64');
  const { spec } = await shape();
  return spec.userData.includes(blob)
    ? { ok: `${file} opens VMs of the current shape` }
    : {
        faults: [
          `the public half of ${file} is not in the VMs' user data, so they would not let the service in: set vmpool:adminKey of the pool stack to it (ssh-keygen -y -f ${file}) and bring the stack up`,
        ],
      };
};

export const checkStore = async ({ config, book }: Subject): Promise<Verdict> => {
  const { stateDir } = config;
  if (!existsSync(stateDir)) return { note: `${stateDir} is not there yet; the first start makes it` };
  const faults: string[] = [];
  const { mode, uid } = statSync(stateDir);
  if ((mode & 0o077) !== 0) faults.push(`${stateDir} is open to other users: chmod 700 ${stateDir}`);
  const self = process.getuid?.() ?? uid;
  if (self !== 0 && uid !== self)
    faults.push(
      `${stateDir} belongs to uid ${String(uid)}, not to this user: chown it, or run as the service's user`,
    );
  const found = await book();
  if (found.kind === 'unusable') {
    faults.push(
      `${found.path} cannot be used: ${found.why}. Start the service to see how it is put right (vmpool recover)`,
    );
  }
  const owner = ownerOf(stateDir);
  const served =
    owner === null
      ? 'no service runs on it'
      : owner < 0
        ? 'a service runs on it'
        : `served by process ${String(owner)}`;
  if (found.kind !== 'read') return unless(faults, `${stateDir} is ready for a first start; ${served}`);
  const { members, leases } = found.book;
  return unless(
    faults,
    `${found.path}: ${count(members.size, 'VM')}, ${count(leases.size, 'lease')}; ${served}`,
  );
};

/** On a worker only: the hooks and the mom's configuration. */
export const checkHooks = (): Promise<Verdict> => {
  const isWorker = ['/etc/vmpool/worker.json', '/var/spool/torque/mom_priv'].some((path) => existsSync(path));
  if (!isWorker)
    return Promise.resolve({ note: 'this machine is no worker (no mom here); on one: vmpool hooks check' });
  try {
    const { ok, findings } = installHooks({ hooksDir: bundledHooks, check: true });
    const faults = findings.flatMap(({ level, text }) => (level === 'error' ? [text] : []));
    return Promise.resolve(ok ? { ok: 'in place, and the mom is configured' } : { faults });
  } catch (error) {
    return Promise.resolve({ faults: [`the hooks cannot be looked at: ${errorText(error)}`] });
  }
};
