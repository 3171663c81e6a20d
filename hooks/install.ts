import { existsSync, lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseWorkerConfig, type WorkerConfig } from './src/config.js';
import { checkCommands, firstLine, nodeProblem } from './install/requirements.js';
import { standsThere, writeWhole } from './install/place.js';
import { changedMomConfig, momConfigProblems, type MomDirective } from './install/mom-config.js';

export interface InstallOptions {
  /** The five bundled hooks. */
  readonly hooksDir: string;
  /** Everything is placed below it; `/` on a worker, another directory to build an image. */
  readonly root?: string;
  readonly momHome?: string;
  /** Where the job starter, the sync and the node check go. */
  readonly libDir?: string;
  /** Node on the worker: the mom's PATH has only /bin and /usr/bin. */
  readonly nodePath?: string;
  readonly prologAlarmSeconds?: number;
  readonly nodeCheckInterval?: number;
  readonly serviceUrl?: string;
  /** `cron`: /etc/cron.d; `systemd`: a timer; `none`: the site runs the sync itself. */
  readonly schedule?: 'cron' | 'systemd' | 'none';
  /** Look only; change nothing. */
  readonly check?: boolean;
}

export interface InstallFinding {
  readonly level: 'done' | 'warning' | 'error';
  /** What it is, and for warnings and errors what to do about it. */
  readonly text: string;
}

export interface InstallResult {
  readonly ok: boolean;
  readonly findings: readonly InstallFinding[];
}

const configPath = '/etc/vmpool/worker.json';
/** In a file of ours, so that an update is told from another product's hook. */
const mark = '// vmpool hook';

/** Puts the hooks in place and writes the mom's configuration; run again, it changes nothing that is right. */
export function installHooks(options: InstallOptions): InstallResult {
  const root = options.root ?? '/';
  const momHome = options.momHome ?? '/var/spool/torque';
  const libDir = options.libDir ?? '/usr/lib/vmpool';
  const node = options.nodePath ?? process.execPath;
  const alarm = options.prologAlarmSeconds ?? 300;
  const check = options.check ?? false;
  const findings: InstallFinding[] = [];
  const at = (path: string): string => join(root, path);
  const error = (text: string): void => void findings.push({ level: 'error', text });
  const done = (text: string): void => void findings.push({ level: 'done', text });

  if (process.getuid?.() !== 0 && !check) {
    error('hooks are root’s files: run this as root');
    return { ok: false, findings };
  }
  const bad = nodeProblem(at(node), node);
  if (bad !== null) error(bad);
  if (!existsSync(at(join(momHome, 'mom_priv'))))
    error(`${momHome}/mom_priv is not there: give the mom's home with --mom-home`);
  if (findings.some((one) => one.level === 'error')) return { ok: false, findings };

  const place = (name: string, path: string, mode: number): void => {
    const target = at(path);
    const wanted = installedText(join(options.hooksDir, name), node, libDir, name === 'jobstarter', root);
    const stat = lstatSync(target, { throwIfNoEntry: false });
    const present = stat?.isFile() === true ? readFileSync(target, 'utf8') : null;
    if (present !== null && !present.includes(mark) && (name === 'prologue' || name === 'epilogue')) {
      const keep = `${path}.site`;
      error(
        `${path} is another hook, and Torque runs only one. Move it to ${keep} and call what it does from a prologue.user, or merge it; then run this again`,
      );
      return;
    }
    if (standsThere(target, wanted, mode)) return done(`${path} is in place`);
    if (check)
      return error(
        `${path} is ${present === null ? 'missing' : 'of another version, owner or mode'}: run vmpool hooks install`,
      );
    writeWhole(target, wanted, mode);
    done(`${path} written (root, ${mode.toString(8)})`);
  };
  place('prologue', join(momHome, 'mom_priv/prologue'), 0o500);
  place('epilogue', join(momHome, 'mom_priv/epilogue'), 0o500);
  place('jobstarter', join(libDir, 'jobstarter'), 0o755);
  place('sync', join(libDir, 'sync'), 0o755);
  place('nodecheck', join(libDir, 'nodecheck'), 0o755);

  const directives: MomDirective[] = [
    { name: '$job_starter', value: join(libDir, 'jobstarter') },
    { name: '$prologalarm', value: String(alarm) },
    { name: '$jobstartblocktime', value: '0' },
    { name: '$node_check_script', value: join(libDir, 'nodecheck') },
    { name: '$node_check_interval', value: String(options.nodeCheckInterval ?? 1) },
    { name: '$down_on_error', value: '1' },
  ];
  const momConfig = at(join(momHome, 'mom_priv/config'));
  const before = existsSync(momConfig) ? readFileSync(momConfig, 'utf8') : '';
  // As root, Node would obey what a user puts into the job's variables.
  if (/^\s*\$job_starter_run_privileged\b/m.test(before))
    directives.push({ name: '$job_starter_run_privileged', value: 'false' });
  const after = changedMomConfig(before, directives);
  if (before === after) done(`${momHome}/mom_priv/config has the lines it needs`);
  else if (check)
    for (const text of momConfigProblems(before, directives)) error(`${momHome}/mom_priv/config: ${text}`);
  else {
    if (before !== '' && !existsSync(`${momConfig}.before-vmpool`))
      writeWhole(`${momConfig}.before-vmpool`, before, 0o644);
    writeWhole(momConfig, after, 0o644);
    done(`${momHome}/mom_priv/config written; restart pbs_mom (running jobs survive a plain restart)`);
  }

  const config = workerConfig(options, at(configPath), momHome, check, findings);
  if (config !== null) checkConfig(config, at, alarm, findings);
  schedule(options.schedule ?? 'cron', at, libDir, check, findings);
  return { ok: findings.every((one) => one.level !== 'error'), findings };
}

/**
 * First line with the worker's own Node. The job starter runs with the job's variables, and Node would obey the
 * job's NODE_OPTIONS (and refuse to start for a wrong one): where env(1) knows -S, it is put aside for the job.
 */
function installedText(file: string, node: string, libDir: string, asUser: boolean, root: string): string {
  const text = readFileSync(file, 'utf8').replace(/^#![^\n]*\n/, '');
  return `${firstLine(node, asUser, root)}\n${mark}\n${text.replaceAll('@VMPOOL_LIB@', libDir)}`;
}

function workerConfig(
  options: InstallOptions,
  path: string,
  momHome: string,
  check: boolean,
  findings: InstallFinding[],
): WorkerConfig | null {
  if (!existsSync(path)) {
    if (check || options.serviceUrl === undefined) {
      const how = 'give --service-url, or write it (docs/reference/hooks.md)';
      findings.push({ level: 'error', text: `${configPath} is missing: ${how}` });
      return null;
    }
    const template = { service: { url: options.serviceUrl, tokenFile: '/etc/vmpool/worker.token' }, momHome };
    writeWhole(path, `${JSON.stringify(template, null, 2)}\n`, 0o644);
    findings.push({ level: 'done', text: `${configPath} written; all else has defaults` });
  }
  const stat = lstatSync(path);
  if (stat.uid !== 0 || (stat.mode & 0o022) !== 0)
    findings.push({
      level: 'error',
      text: `${configPath} must belong to root and be writable by root alone: chown root, chmod 644`,
    });
  else if ((stat.mode & 0o004) === 0)
    findings.push({
      level: 'error',
      text: `${configPath} cannot be read by users, as whom the job starter runs: chmod 644`,
    });
  const parsed = parseWorkerConfig(readFileSync(path, 'utf8'));
  if (parsed.ok) return parsed.config;
  for (const text of parsed.errors) findings.push({ level: 'error', text: `${configPath}: ${text}` });
  return null;
}

function checkConfig(
  config: WorkerConfig,
  at: (path: string) => string,
  alarm: number,
  findings: InstallFinding[],
): void {
  const error = (text: string): void => void findings.push({ level: 'error', text });
  const token = lstatSync(at(config.service.tokenFile), { throwIfNoEntry: false });
  if (token === undefined)
    error(`${config.service.tokenFile} is missing: put this worker's token there (chmod 600)`);
  else if (token.uid !== 0 || (token.mode & 0o077) !== 0)
    error(`${config.service.tokenFile} can be read by others: chown root, chmod 600`);
  if (config.service.caFile !== null && !existsSync(at(config.service.caFile)))
    error(`service.caFile ${config.service.caFile} is missing`);
  // The mom kills 10 s before its alarm; the hook needs some time of its own to end well.
  if (config.prologueLimitMs > (alarm - 15) * 1000)
    error(
      `prologueLimitSeconds ${config.prologueLimitMs / 1000} is too long for $prologalarm ${alarm}: at most ${alarm - 15}`,
    );
  if (config.epilogueLimitMs > (alarm - 15) * 1000)
    error(
      `epilogueLimitSeconds ${config.epilogueLimitMs / 1000} is too long for $prologalarm ${alarm}: at most ${alarm - 15}`,
    );
  const commands = [config.commands.qstat, config.commands.qhold, config.commands.qrls, config.ssh.command];
  findings.push(...checkCommands(commands, at));
}

function schedule(
  how: 'cron' | 'systemd' | 'none',
  at: (path: string) => string,
  libDir: string,
  check: boolean,
  findings: InstallFinding[],
): void {
  const files: readonly (readonly [string, string])[] =
    how === 'cron'
      ? [
          [
            '/etc/cron.d/vmpool',
            `# Tells the lease service which jobs live here.\n* * * * * root ${libDir}/sync 2>/dev/null\n`,
          ],
        ]
      : how === 'systemd'
        ? [
            [
              '/etc/systemd/system/vmpool-sync.service',
              `[Unit]\nDescription=Tell the lease service which jobs live on this worker\n\n[Service]\nType=oneshot\nExecStart=${libDir}/sync\n`,
            ],
            [
              '/etc/systemd/system/vmpool-sync.timer',
              '[Unit]\nDescription=Every minute: vmpool-sync\n\n[Timer]\nOnBootSec=1min\nOnUnitActiveSec=1min\nAccuracySec=5s\n\n[Install]\nWantedBy=timers.target\n',
            ],
          ]
        : [];
  for (const [path, text] of files) {
    if (existsSync(at(path)) && readFileSync(at(path), 'utf8') === text)
      findings.push({ level: 'done', text: `${path} is in place` });
    else if (check)
      findings.push({ level: 'error', text: `${path} is missing or changed: run vmpool hooks install` });
    else {
      writeWhole(at(path), text, 0o644);
      findings.push({ level: 'done', text: `${path} written` });
    }
  }
  if (how === 'systemd' && !check)
    findings.push({ level: 'warning', text: 'start the timer: systemctl enable --now vmpool-sync.timer' });
}
