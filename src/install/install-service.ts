import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { InstallFinding, InstallResult } from '../../hooks/install.js';
import { standsThere, writeWhole } from '../../hooks/install/place.js';
import { layoutProblems, serviceFiles, type ServiceLayout } from './service-files.js';

export interface ServiceInstallOptions {
  readonly layout: ServiceLayout;
  /** Everything is placed below it; `/`, or another directory to build an image. */
  readonly root: string;
  /** Look only; change nothing. */
  readonly check: boolean;
}

const modeOfFiles = 0o644;

/**
 * Puts the service's units, account and directories in place; run again, it changes nothing that is right. It never
 * starts, stops or enables the service: jobs may be running.
 */
export const installService = ({ layout, root, check }: ServiceInstallOptions): InstallResult => {
  const findings: InstallFinding[] = [];
  const add = (level: InstallFinding['level'], text: string): void => void findings.push({ level, text });
  const at = (path: string): string => join(root, path);

  for (const text of layoutProblems(layout)) add('error', text);
  if (process.getuid?.() !== 0 && !check) add('error', 'units and accounts are root’s: run this as root');
  for (const path of [layout.node, layout.program])
    if (!existsSync(at(path)))
      add('error', `${path} is not there: install VM Pool and Node below ${root} first`);
  if (findings.length > 0) return { ok: false, findings };

  let changed = false;
  for (const { path, text } of serviceFiles(layout)) {
    if (standsThere(at(path), text, modeOfFiles)) add('done', `${path} is in place`);
    else if (check) add('error', `${path} is missing or changed: run vmpool service install`);
    else {
      writeWhole(at(path), text, modeOfFiles);
      add('done', `${path} written`);
      changed = true;
    }
  }
  if (!check) {
    run(
      ['systemd-sysusers', `--root=${root}`, at('/etc/sysusers.d/vmpool.conf')],
      'the account vmpool is there',
      add,
    );
    run(
      ['systemd-tmpfiles', `--root=${root}`, '--create', at('/etc/tmpfiles.d/vmpool.conf')],
      'the directories are there, with their owners',
      add,
    );
    if (changed && root === '/' && existsSync('/run/systemd/system'))
      run(['systemctl', 'daemon-reload'], 'systemd has read the units', add);
  }
  if (!existsSync(at(layout.configFile)))
    add(
      'warning',
      `${layout.configFile} is not there yet: copy config/vmpool.example.yaml and edit it (0640, group vmpool)`,
    );
  return { ok: findings.every(({ level }) => level !== 'error'), findings };
};

/** Longest that one of systemd's tools may take, in milliseconds. */
const toolLimitMs = 60_000;

const run = (
  [command = '', ...args]: readonly string[],
  done: string,
  add: (level: InstallFinding['level'], text: string) => void,
): void => {
  const { status, error, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout: toolLimitMs });
  if (status === 0) {
    add('done', done);
    return;
  }
  const missing = (error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
  if (missing)
    add(
      'warning',
      `there is no ${command} here: make by hand what the file in /etc/ that it reads describes`,
    );
  else add('error', `${[command, ...args].join(' ')} failed: ${(error?.message ?? stderr).trim()}`);
};
