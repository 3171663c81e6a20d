import type { Command } from 'commander';
import { exitCodes } from './exit.js';
import { vmpool } from './program.js';
import { plain } from './terminal.js';
import type { World } from './world.js';

/** A world in which commands are only described, never run. */
const nowhere: World = {
  terminal: {
    out: () => undefined,
    err: () => undefined,
    write: () => undefined,
    interactive: false,
    paint: plain,
    size: () => ({ columns: 80, rows: 24 }),
    onResize: () => () => undefined,
  },
  env: {},
  connect: () => {
    throw new Error('nothing is asked while the commands are described');
  },
  confirm: () => Promise.resolve(null),
  stop: new AbortController().signal,
  exitWith: () => undefined,
};

/** What each code of `exitCodes` means, in the order of the table. */
const exitMeanings: readonly (readonly [codes: readonly (keyof typeof exitCodes)[], meaning: string])[] = [
  [['ok'], 'done; for `check`, `policy`, `doctor`, `plan`, `audit` and `demo`: everything is in order'],
  [
    ['notInOrder'],
    'something is not in order: a check failed, a stack would change, no VM within the time, the service could not start',
  ],
  [['usage'], 'wrong arguments, no usable token, or a configuration with errors (all are named)'],
  [['unreachable'], 'the service cannot be reached'],
  [['refused'], 'the service was reached and refused'],
  [
    ['runFailed'],
    "`run` only: VM Pool itself failed. Every other code is the command's own; 130 and 143 after Ctrl-C and SIGTERM.",
  ],
  [
    ['hangup', 'interrupted', 'terminated'],
    '`demo`, `audit` and `top`: interrupted by SIGHUP, Ctrl-C or SIGTERM (`demo`: 130 for both of these); what `demo` made was removed, changes that `audit` paused go on. `q` and Ctrl-C end `top` with 0.',
  ],
];

const exitTable = (): string =>
  [
    '| code | meaning |',
    '| --- | --- |',
    ...exitMeanings.map(
      ([codes, meaning]) => `| ${codes.map((code) => String(exitCodes[code])).join(', ')} | ${meaning} |`,
    ),
  ].join('\n');

const general = `# Command line

\`vmpool COMMAND --help\` prints what stands here. Commands that ask the service take its address and your token from options or the environment:

| option | variable | otherwise |
| --- | --- | --- |
| \`--url URL\` | \`VMPOOL_URL\` | \`http://127.0.0.1:8470\` |
| \`--token-file FILE\` | \`VMPOOL_TOKEN_FILE\` | none: a token is always needed. The file must not be open to other users. |
| \`--ca FILE\` | \`VMPOOL_CA\` | the system's certificate authorities |

Commands that read the service's configuration themselves take \`--config FILE\`, \`VMPOOL_CONFIG\` or \`/etc/vmpool/vmpool.yaml\`, and run on the service's machine as its user. What a token may do depends on its role: \`status\`, \`vms\`, \`leases\` and \`requests\` work with every role (a worker sees its own jobs only), \`top\`, \`vm show\`, \`plan\` (for its reasons), \`events\` and \`usage\` need a viewer's or an operator's, \`request\`, \`release --job\` and \`run\` need a worker's, \`why\` too; orders (\`hold\`, \`unhold\`, \`drain\`, \`undrain\`, \`retire\`, \`kill\`, \`pause\`, \`resume\`, \`adopt\`, \`scale\`, \`apply\`, \`audit\`), \`console\` and \`vm show --console\` need an operator's.

Results go to standard output, everything else to standard error. Colours are used on a terminal only, and not where \`NO_COLOR\` is set. With \`--json\`, what is printed is for programs: one JSON document, the field names those of the HTTP API; \`events\`, \`top\` and \`cloud\`, which may go on, print one a line. Every command has it but those whose output is somebody else's (\`run\`, \`ssh\`: the command's on the VM; \`completion\`: a script for a shell) and \`serve\`, whose log is JSON lines. \`VMPOOL_DEBUG=1\` adds a stack trace to errors that nobody expected.

## Exit codes

${exitTable()}
`;

const notes: Readonly<Record<string, string>> = {
  completion:
    'For zsh, in `~/.zshrc` after `compinit`: `source <(vmpool completion zsh)`; for fish, in its configuration: `vmpool completion fish | source`. Names of VMs, jobs and pools come from the service, as with any command, with the token of `VMPOOL_TOKEN_FILE`; without one, or where the service does not answer within two seconds, none are offered.',
  vms: 'Broken, silent and held VMs stand first, idle ones last; among equals, what has been so for longest. On a terminal the table is cut to its width and what matters least is left out; a pipe gets whole lines.',
  top: 'The most urgent VMs first, as many as the terminal has room for. `q` or Ctrl-C ends it and gives the terminal back as it was. A service that restarts is waited for.',
  'vm show':
    'The history goes back as far as the history files do. Of a VM that did not come up, the end of its console log was kept there and is shown; `--console` asks the cloud for what it has now.',
  events:
    'The service keeps its last 500 events in memory; `--history` reads its history files (some 150 MB, also of earlier starts). A job may be named as `qstat` does, without its server. `--history --decision any` is the audit of all that made, leased, scrubbed or ended a VM, each [with its reason](states.md#decisions-and-their-reasons), and of the orders of operators, with the name of who gave them.',
  hold: 'What runs on the VM goes on; when it ends, the VM is kept as it is, the traces of the job included, and nothing ends it but you, the time given with `--for`, or `policy.heldLimit`.',
  drain:
    'Other than `hold`, the VM is cleaned and verified first: for work on its host, or to keep a VM in reserve. It counts against `max`.',
  kill: "The job's lease ends at once, and the VM with it; Torque's job ends when its ssh does. Without a terminal to ask at, `--yes` is needed.",
  pause:
    'For an audit of the cloud, or work on it. Leases, releases, scrubs and probes go on; no VM is made, ended or replaced, so that a full pool lets jobs wait. Updates that run already go on to their end. Every pause ends by itself.',
  scale:
    "The service changes the config of the stack's last update, whoever ran that, runs `up` on it and adopts the shape: the stack stays the one place where the shape is said. A checkout's `Pulumi.<pool>.yaml` is not changed; what to write into it is printed. Until then `pulumi preview` from there shows that it would take the sizes back, and `vmpool apply` refuses to.",
  apply:
    "As `pulumi up` from a checkout, but run by the service. Looked at first: the shape, flavor, image and networks in the cloud; told as `note`: a `max` that the project's quota or the Busy VMs speak against. Refused, too, while another update holds the stack's lock, and where the file takes back sizes that `vmpool scale` has set since the stack was last brought up from a file: write them into the file, or say `--overwrite`.",
  ssh: "For a shell on a VM as the service itself logs in; run it on the service's machine, or bring the key with `--identity` and `--user`. Only the host keys that the service has learned are believed, and no ssh configuration of yours is read.",
  why: 'Reads the history files, so that it reaches back as far as they do, and adds what a job that lives waits for.',
  usage:
    'Sums leases that have ended, where they ended; what still runs is not in it. Kept by the service in files of their own for `usage.keep` (400 days) within `usage.size`; the log and the history hold no account. VM time is from grant to end; processor time is that times the processors that the job asked for. `--by job` gives a line for each job; `--csv` seconds as numbers, for spreadsheets.',
  serve:
    'Logs JSON lines on standard output; the line with `"event":"ready"` tells the address. A line of what happened has `event`, and `lease` (the id of the request, which its lease keeps), `job`, `user` and `vm` as far as it is about them; a line of an HTTP request has `requestId` (`X-Request-Id` of its answer) and the lease, job or VM that it was for. SIGHUP reads the configuration and the TLS files again: what can change does at once, what needs a restart is told, and a file with errors changes nothing. SIGTERM or SIGINT stops it: no new connections, requests under way end, updates of cells get up to 30 s. A second signal ends it at once; nothing that was answered is lost.',
  policy:
    'The shape as the Pulumi program would read it; with credentials of the cloud (OS_* or --cloud) flavor, image, networks and quota; with a token of the service the running pool; with --config, too, a preview of every cell: no update may delete or replace a Busy VM. What cannot be looked at here is a `note`.',
  check:
    "Looks at the configuration, the store (owner, mode, readable, who serves it), the engine, the backend, the credentials, the pool stack, flavor, image, networks, the quota against `max`, the admin key (is it the one that the VMs let in?), the running service and its problems, the guest image's contract on a VM that is Free, and on a worker the hooks. It stops at nothing; `note` marks what could not be looked at here.",
  run: "A single word is a command line for the shell on the VM (`vmpool run -- 'echo $HOSTNAME'`); several words are one command with its arguments, as they are. Standard input, output and errors are the command's. The key is made for this run alone. Use a worker token of its own for this and for `request`: the sync of a Torque worker ends what its own token leased and Torque does not know.",
  plan: 'What the service has in mind comes from the service: each VM that is to be made or deleted, in its cell, with the reason; also what an update waits for, and why no more VMs are made. While changes are paused it says so, and adds what would be decided if they went on now: by then it may be another VM, or none. The lines of `pulumi preview` show what an update of each stack would do with what the service last wrote for it, so that a VM that is not ordered yet is not in them. Safe beside the running service: nothing is decided or changed by looking.',
  audit:
    "Pauses changes, waits until updates that run have ended, and runs `pulumi preview --refresh` on the pool's stack, every cell and every service's stack. Told is what an update would change, VMs that are gone, and what somebody changed on a VM in the cloud (flavor, image, metadata...), which Pulumi's `--expect-no-changes` passes over because members ignore it. Changes go on afterwards, also after Ctrl-C, SIGTERM or a failure; where they were paused before, they stay so. Killed with SIGKILL, the pause ends by itself after `--for`. Servers that no stack knows are `vmpool doctor`'s to find.",
  recover:
    'Refused while a service runs on the store. With `--from-cloud`, VMs that are found are held until every worker has synced and their own markers were read.',
  doctor:
    'Reads the store, the states of the stacks, the list of servers, the markers on the VMs and what the workers said, and tells each difference with what follows from it. ITSELF: the running service puts it right. REPAIR: `--repair` does; no repair ends, makes or forgets a VM, a lease or a job, and files that stood in the way are renamed, not deleted. YOU: somebody has to decide. Safe beside the running service; also where no service runs, and where the store cannot be read.',
  backup:
    "Holds the book, the installation's UUID, the secret behind leases and markers, and of this pool's stacks the configuration, the lost creates and (with a `file://` backend) the states. It is one file of mode 0600, written whole or not at all and read again before the command ends. Keep it like a key, on another machine. Not in it: the configuration and the files that it names, the history, and the baselines of VMs (a VM without one is retired after its job). With `--verify` the configuration is not needed.",
  restore:
    'Verifies the backup first. The book is always put back, everything else only where it is missing or cannot be read; what stood in the way is renamed. Refused for a backup of another pool or installation. Afterwards no VM is leased, cleaned or ended before its marker was read and every configured worker has synced: [how to restore](../how-to/restore.md).',
  demo: 'Makes everything below a directory of its own in /var/tmp and removes it at the end, also after Ctrl-C and when it is killed.',
};

/** All commands, to be looked at and never to be run. */
export const describedCommands = (): Command => vmpool(nowhere);

/** The reference of the command line as Markdown, from the commands themselves. */
export const cliReference = (): string => {
  const program = describedCommands();
  const shown = program.createHelp().visibleCommands(program);
  const sections = shown
    .filter(({ parent }) => parent !== null)
    .flatMap((command) =>
      command.commands.length === 0
        ? [section(command, command.name())]
        : command.commands.map((below) => section(below, `${command.name()} ${below.name()}`)),
    );
  return [general, '<!-- Below this line: generated from src/cli; a test compares. -->\n', ...sections].join(
    '\n',
  );
};

const section = (command: Command, name: string): string => {
  const words = command.registeredArguments.map((argument) => {
    const text = argument.variadic ? `${argument.name()}...` : argument.name();
    return argument.required ? `<${text}>` : `[${text}]`;
  });
  const usage = ['vmpool', name, ...(command.options.length > 0 ? ['[options]'] : []), ...words].join(' ');
  const rows = [
    ...command.registeredArguments.map(
      (argument, at) => `| \`${words[at] ?? ''}\` | ${argument.description} |`,
    ),
    ...command.options.map((option) => {
      const initial: unknown = option.defaultValue;
      const also =
        initial === undefined
          ? ''
          : ` (default: ${typeof initial === 'string' ? initial : JSON.stringify(initial)})`;
      return `| \`${option.flags.replaceAll('|', '\\|')}\` | ${option.description}${also} |`;
    }),
  ];
  const sentence = command.description();
  return [
    `## ${name}`,
    '',
    `\`${usage}\``,
    '',
    `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}.`,
    ...(notes[name] === undefined ? [] : ['', notes[name]]),
    ...(rows.length === 0 ? [] : ['', '| argument | meaning |', '| --- | --- |', ...rows]),
    '',
  ].join('\n');
};
