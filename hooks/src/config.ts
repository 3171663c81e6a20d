import { readFileSync, statSync } from 'node:fs';
import { hostname } from 'node:os';

/** A file of the user's that proves who they are: sent to the VM before the job, and again when it changes. */
export type Credential =
  | { readonly path: string; readonly readAs: 'user' | 'root' }
  /** The job's variable of that name holds the path; always read as the user, who chose it. */
  | { readonly variable: string };

/** `/etc/vmpool/worker.json`. Holds no secret: the token stands in a file of its own that only root can read. */
export interface WorkerConfig {
  readonly service: { readonly url: string; readonly caFile: string | null; readonly tokenFile: string };
  /** This worker's name at the service. */
  readonly worker: string;
  readonly spool: string;
  /** Torque's home on the worker; `mom_priv/jobs` below it lists the jobs that live here. */
  readonly momHome: string;
  /** The prologue ends by itself after this long; below `$prologalarm` less 10 s, when the mom would kill it. */
  readonly prologueLimitMs: number;
  /** How long the prologue waits for a VM before it leaves the waiting to the job starter. */
  readonly quickWaitMs: number;
  readonly epilogueLimitMs: number;
  /** How long a job waits for its VM at most, out of its own walltime. */
  readonly maxWaitMs: number;
  /** A job started more often than this is held. */
  readonly startLimit: number;
  /** Accounts with a lower numeric id get no VM. */
  readonly minimumId: number;
  readonly commands: { readonly qstat: string; readonly qhold: string; readonly qrls: string };
  /** True: the job's files are on the VM already, nothing is copied in or back. */
  readonly sharedHome: boolean;
  /** Copied besides the working directory. `%u`, `%U`, `%h`, `%j`: user, uid, home, job id. */
  readonly copyIn: readonly string[];
  readonly copyBack: readonly string[];
  readonly copyExclude: readonly string[];
  readonly copyLimitBytes: number;
  readonly credentials: readonly Credential[];
  readonly renewMs: number;
  readonly ssh: { readonly command: string; readonly options: readonly string[]; readonly connectMs: number };
  /** Where the job's file goes on the VM; executable files must be allowed there. */
  readonly remoteDir: string;
  /** `vm`: PBS_NODEFILE names the VM, so that mpirun stays on it. `worker`: as Torque wrote it. */
  readonly nodefile: 'vm' | 'worker';
  /** What a job used on its VM is printed at the end of its output. */
  readonly printUsage: boolean;
}

export type ConfigResult =
  | { readonly ok: true; readonly config: WorkerConfig }
  | { readonly ok: false; readonly errors: readonly string[] };

type Json = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Reads fields of one object and collects what is wrong with each. Written by hand because a schema library
 * costs every prologue more time than all of its own work.
 */
class Fields {
  readonly #seen = new Set<string>();
  constructor(
    private readonly from: Json,
    private readonly where: string,
    private readonly errors: string[],
  ) {}

  #take(key: string): unknown {
    this.#seen.add(key);
    return this.from[key];
  }
  #wrong(key: string, what: string): void {
    this.errors.push(`${this.where}${key}: ${what}`);
  }
  text(key: string, fallback: string | null, form: RegExp, formName: string): string {
    const value = this.#take(key) ?? fallback;
    if (value === null) this.#wrong(key, `is missing; give ${formName}`);
    else if (typeof value !== 'string' || !form.test(value)) this.#wrong(key, `must be ${formName}`);
    else return value;
    return '';
  }
  path(key: string, fallback: string | null): string {
    return this.text(key, fallback, /^\/[^\0\n]*$/, 'an absolute path');
  }
  optionalPath(key: string): string | null {
    return this.from[key] === undefined || this.from[key] === null
      ? (this.#seen.add(key), null)
      : this.path(key, null);
  }
  number(key: string, fallback: number, min: number, max: number): number {
    const value = this.#take(key) ?? fallback;
    if (typeof value === 'number' && Number.isFinite(value) && value >= min && value <= max) return value;
    this.#wrong(key, `must be a number from ${min} to ${max}`);
    return fallback;
  }
  flag(key: string, fallback: boolean): boolean {
    const value = this.#take(key) ?? fallback;
    if (typeof value === 'boolean') return value;
    this.#wrong(key, 'must be true or false');
    return fallback;
  }
  list<T>(key: string, fallback: readonly T[], one: (value: unknown) => T | string): readonly T[] {
    const value = this.#take(key);
    if (value === undefined) return fallback;
    if (!Array.isArray(value)) {
      this.#wrong(key, 'must be a list');
      return fallback;
    }
    const out: T[] = [];
    value.forEach((item: unknown, index) => {
      const got = one(item);
      if (typeof got === 'string' && got.startsWith('!')) this.#wrong(`${key}[${index}]`, got.slice(1));
      else out.push(got as T);
    });
    return out;
  }
  inner(key: string): Fields {
    const value = this.#take(key) ?? {};
    if (!isObject(value)) this.#wrong(key, 'must be an object');
    return new Fields(isObject(value) ? value : {}, `${this.where}${key}.`, this.errors);
  }
  unknown(): void {
    for (const key of Object.keys(this.from))
      if (!this.#seen.has(key) && !key.startsWith('//')) this.#wrong(key, 'is not known; check the spelling');
  }
}

const absolutePattern = (value: unknown): string =>
  typeof value === 'string' && /^(\/|%h)[^\0\n]*$/.test(value) && !/(^|\/)\.\.(\/|$)/.test(value)
    ? value
    : '!must be an absolute path (may begin with %h) without `..`';

const credential = (value: unknown): Credential | string => {
  if (!isObject(value)) return '!must be {"path": ...} or {"variable": ...}';
  if (typeof value['variable'] === 'string' && /^[A-Za-z_][A-Za-z0-9_]*$/.test(value['variable']))
    return { variable: value['variable'] };
  const path = absolutePattern(value['path']);
  const readAs = value['readAs'] ?? 'user';
  if (path.startsWith('!')) return path;
  return readAs === 'user' || readAs === 'root' ? { path, readAs } : '!readAs must be "user" or "root"';
};

/** Parses the text of a worker configuration; names everything that is wrong with it at once. */
export function parseWorkerConfig(text: string): ConfigResult {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    return { ok: false, errors: [`not JSON: ${error instanceof Error ? error.message : String(error)}`] };
  }
  if (!isObject(json)) return { ok: false, errors: ['must be a JSON object'] };
  const errors: string[] = [];
  const top = new Fields(json, '', errors);
  const seconds = (key: string, fallback: number, min: number, max: number): number =>
    top.number(key, fallback, min, max) * 1000;
  const service = top.inner('service');
  const commands = top.inner('commands');
  const ssh = top.inner('ssh');
  const config: WorkerConfig = {
    service: {
      url: service.text('url', null, /^https?:\/\/[^\s/]+\/?$/, 'http(s)://host:port').replace(/\/$/, ''),
      caFile: service.optionalPath('caFile'),
      tokenFile: service.path('tokenFile', '/etc/vmpool/worker.token'),
    },
    worker: top.text('worker', hostname(), /^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$/, 'a host name'),
    spool: top.path('spool', '/var/spool/vmpool'),
    momHome: top.path('momHome', '/var/spool/torque'),
    prologueLimitMs: seconds('prologueLimitSeconds', 30, 1, 3600),
    quickWaitMs: seconds('quickWaitSeconds', 3, 0, 60),
    epilogueLimitMs: seconds('epilogueLimitSeconds', 240, 5, 86_400),
    maxWaitMs: seconds('maxWaitSeconds', 3600, 0, 604_800),
    startLimit: top.number('startLimit', 5, 1, 1000),
    minimumId: top.number('minimumId', 1000, 1, 0xffff_fffe),
    commands: {
      qstat: commands.path('qstat', '/usr/local/bin/qstat'),
      qhold: commands.path('qhold', '/usr/local/bin/qhold'),
      qrls: commands.path('qrls', '/usr/local/bin/qrls'),
    },
    sharedHome: top.flag('sharedHome', false),
    copyIn: top.list('copyIn', [], absolutePattern),
    copyBack: top.list('copyBack', [], absolutePattern),
    copyExclude: top.list('copyExclude', ['.ssh'], (value) =>
      typeof value === 'string' && value !== '' && !/[\0\n]/.test(value)
        ? value
        : '!must be a file name pattern',
    ),
    copyLimitBytes: top.number('copyLimitMiB', 10_240, 1, 1e9) * 1024 * 1024,
    credentials: top.list<Credential>(
      'credentials',
      [{ path: '/tmp/x509up_u%U', readAs: 'user' }, { variable: 'X509_USER_PROXY' }],
      credential,
    ),
    renewMs: seconds('renewSeconds', 30, 1, 3600),
    ssh: {
      command: ssh.path('command', '/usr/bin/ssh'),
      options: ssh.list('options', [], (value) =>
        typeof value === 'string' && /^[A-Za-z]+=[^\0\n]+$/.test(value) ? value : '!must be Option=value',
      ),
      connectMs: ssh.number('connectSeconds', 15, 1, 600) * 1000,
    },
    remoteDir: top.path('remoteDir', '/tmp'),
    nodefile: top.text('nodefile', 'vm', /^(vm|worker)$/, '"vm" or "worker"') === 'worker' ? 'worker' : 'vm',
    printUsage: top.flag('printUsage', false),
  };
  if (config.service.url !== '' && !URL.canParse(config.service.url))
    errors.push('service.url: must be http(s)://host:port');
  if (config.quickWaitMs >= config.prologueLimitMs)
    errors.push('quickWaitSeconds: must be below prologueLimitSeconds');
  for (const part of [top, service, commands, ssh]) part.unknown();
  return errors.length === 0 ? { ok: true, config } : { ok: false, errors };
}

export const defaultConfigPath = '/etc/vmpool/worker.json';

/**
 * Reads the configuration. VMPOOL_WORKER_CONFIG may name another file: a mom hands no such variable on to root's
 * hooks, and a file that somebody but root could have written is refused to root all the same.
 */
export function readWorkerConfig(env: NodeJS.ProcessEnv): ConfigResult & { readonly path: string } {
  const path = env['VMPOOL_WORKER_CONFIG'] ?? defaultConfigPath;
  try {
    const stat = statSync(path);
    if (process.getuid?.() === 0 && (stat.uid !== 0 || (stat.mode & 0o022) !== 0))
      return {
        ok: false,
        path,
        errors: ['must belong to root and be writable by root alone: chown root, chmod 644'],
      };
    return { ...parseWorkerConfig(readFileSync(path, 'utf8')), path };
  } catch (error) {
    return {
      ok: false,
      path,
      errors: [`cannot be read (${error instanceof Error ? error.message : String(error)})`],
    };
  }
}

/** `%u` user, `%U` uid, `%h` home, `%j` job id, `%%` a percent sign. */
export function expandPattern(
  pattern: string,
  of: { readonly user: string; readonly uid: number; readonly home: string; readonly job: string },
): string {
  return pattern.replace(/%([uUhj%])/g, (_, letter: string) => {
    switch (letter) {
      case 'u':
        return of.user;
      case 'U':
        return String(of.uid);
      case 'h':
        return of.home;
      case 'j':
        return of.job;
      default:
        return '%';
    }
  });
}
