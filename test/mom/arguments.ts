import type { Submission } from './job.js';

/** How a mom calls its hooks; as measured on TORQUE 6.1.3. */

const two = (value: number): string => String(value).padStart(2, '0');
export function resourceList(job: Submission): string {
  const s = job.walltimeSeconds ?? 3600;
  const walltime = `${two(Math.floor(s / 3600))}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
  const limits = job.limits === undefined ? '' : `,${job.limits}`;
  const node = [`1:ppn=${job.ppn ?? 1}`, ...(job.properties ?? [])].join(':');
  return `neednodes=${node},nodect=1,nodes=${node},walltime=${walltime}${limits}`;
}

export interface Place {
  readonly id: string;
  readonly group: string;
  readonly script: string;
  readonly nodefile: string;
  readonly host: string;
}

export function prologueArguments(job: Submission, place: Place): string[] {
  const { id, group, script } = place;
  return [id, job.user, group, job.name ?? 'STDIN', resourceList(job), job.queue ?? 'batch', '', script];
}

export function epilogueArguments(
  job: Submission,
  place: Place,
  session: number,
  exitStatus: number,
): string[] {
  return [
    ...[place.id, job.user, place.group, job.name ?? 'STDIN', String(session), resourceList(job)],
    ...[session === 0 ? '' : 'cput=00:00:00,mem=0kb,vmem=0kb,walltime=00:00:01', job.queue ?? 'batch', ''],
    ...[String(exitStatus), place.script],
  ];
}

export function hookEnvironment(job: Submission, place: Place): Record<string, string> {
  return {
    PATH: '/bin:/usr/bin',
    LANG: 'C',
    PBS_RESOURCE_NODES: `1:ppn=${job.ppn ?? 1}`,
    PBS_NUM_NODES: '1',
    PBS_NUM_PPN: String(job.ppn ?? 1),
    PBS_NP: String(job.ppn ?? 1),
    PBS_NODENUM: '0',
    PBS_MSHOST: place.host,
    PBS_NODEFILE: place.nodefile,
    PBS_O_WORKDIR: job.workDirectory ?? '',
  };
}

export function jobEnvironment(
  job: Submission,
  place: Place,
  account: { readonly home: string; readonly shell: string },
): Record<string, string> {
  const index = /\[(\d+)\]/.exec(place.id)?.[1];
  return {
    ...hookEnvironment(job, place),
    PATH: '/usr/local/bin:/usr/bin:/bin',
    HOME: account.home,
    SHELL: account.shell,
    USER: job.user,
    LOGNAME: job.user,
    PBS_ENVIRONMENT: job.interactive === true ? 'PBS_INTERACTIVE' : 'PBS_BATCH',
    PBS_JOBID: place.id,
    PBS_JOBNAME: job.name ?? 'STDIN',
    PBS_QUEUE: job.queue ?? 'batch',
    PBS_SERVER: 'server',
    PBS_TASKNUM: '1',
    PBS_VNODENUM: '0',
    PBS_MOMPORT: '15003',
    PBS_VERSION: 'TORQUE-6.1.3',
    PBS_JOBCOOKIE: '0'.repeat(32),
    PBS_WALLTIME: String(job.walltimeSeconds ?? 3600),
    PBS_O_HOME: account.home,
    PBS_O_LOGNAME: job.user,
    PBS_O_SHELL: account.shell,
    PBS_O_PATH: '/usr/bin:/bin',
    PBS_O_LANG: 'C.UTF-8',
    PBS_O_HOST: 'login',
    PBS_O_SERVER: 'server',
    PBS_O_QUEUE: job.queue ?? 'batch',
    ...(index === undefined ? {} : { PBS_ARRAYID: index }),
    ...(job.interactive === true ? { TERM: 'xterm' } : {}),
    ...job.variables,
  };
}

/** `qstat -f` as the server prints it: long values are broken, and go on behind a tab. */
export function qstatText(
  job: Submission,
  id: string,
  startCount: number,
  environment: Record<string, string>,
): string {
  const list = Object.entries({
    PBS_O_WORKDIR: job.workDirectory ?? '',
    ...job.variables,
    HOST: environment['PBS_O_HOST'] ?? '',
  })
    .map(([name, value]) => `${name}=${value.replaceAll('\n', '\\n')}`)
    .join(',');
  const broken = `    Variable_List = ${list}`.replace(/.{78}(?=.)/g, '$&\n\t');
  return `Job Id: ${id}\n    Job_Name = ${job.name ?? 'STDIN'}\n    Job_Owner = ${job.user}@login\n    job_state = R\n    queue = ${job.queue ?? 'batch'}\n    server = server\n    Hold_Types = n\n${broken}\n    euser = ${job.user}\n    start_count = ${startCount}\n    fault_tolerant = False\n\n`;
}
