import { Command, CommanderError } from 'commander';
import { ProblemError, UnreachableError } from '../http/client.js';
import { version } from '../version.js';
import { adoptCommand } from './commands/adopt.js';
import { applyCommand } from './commands/apply.js';
import { auditCommand } from './commands/audit.js';
import { backupCommand } from './commands/backup.js';
import { checkCommand } from './commands/check.js';
import { cloudCommand } from './commands/cloud.js';
import { demoCommand } from './commands/demo.js';
import { doctorCommand } from './commands/doctor.js';
import { envCommand } from './commands/env.js';
import { holdCommand } from './commands/hold.js';
import { hooksCommand } from './commands/hooks.js';
import { planCommand } from './commands/plan.js';
import { policyCommand } from './commands/policy.js';
import { recoverCommand } from './commands/recover.js';
import { releaseCommand } from './commands/release.js';
import { requestCommand } from './commands/request.js';
import { restoreCommand } from './commands/restore.js';
import { retireCommand } from './commands/retire.js';
import { runCommand } from './commands/run.js';
import { engineCommand } from './commands/engine.js';
import { scaleCommand } from './commands/scale.js';
import { serveCommand } from './commands/serve.js';
import { serviceCommand } from './commands/service.js';
import { statusCommand } from './commands/status.js';
import { tokenCommand } from './commands/token.js';
import { topCommand } from './commands/top.js';
import { unholdCommand } from './commands/unhold.js';
import { vmsCommand } from './commands/vms.js';
import { vmCommand } from './commands/vm.js';
import { leasesCommand } from './commands/leases.js';
import { requestsCommand } from './commands/requests.js';
import { eventsCommand } from './commands/events.js';
import { drainCommand, undrainCommand } from './commands/drain.js';
import { killCommand } from './commands/kill.js';
import { pauseCommand, resumeCommand } from './commands/pause.js';
import { consoleCommand } from './commands/console.js';
import { sshCommand } from './commands/ssh.js';
import { whyCommand } from './commands/why.js';
import { usageCommand } from './commands/usage.js';
import { completionCommand, wordsCommand } from './commands/completion.js';
import { CliError, exitCodes } from './exit.js';
import type { World } from './world.js';

const exitHelp = `
Exit codes:
  0 done   1 something is not in order   2 wrong arguments or configuration
  3 the service cannot be reached   4 the service refused`;

const commands = [
  serveCommand,
  statusCommand,
  topCommand,
  vmsCommand,
  vmCommand,
  leasesCommand,
  requestsCommand,
  eventsCommand,
  whyCommand,
  usageCommand,
  consoleCommand,
  sshCommand,
  checkCommand,
  holdCommand,
  unholdCommand,
  drainCommand,
  undrainCommand,
  retireCommand,
  killCommand,
  pauseCommand,
  resumeCommand,
  scaleCommand,
  applyCommand,
  adoptCommand,
  requestCommand,
  releaseCommand,
  runCommand,
  planCommand,
  auditCommand,
  policyCommand,
  envCommand,
  doctorCommand,
  recoverCommand,
  tokenCommand,
  backupCommand,
  restoreCommand,
  serviceCommand,
  engineCommand,
  hooksCommand,
  cloudCommand,
  demoCommand,
  completionCommand,
];

/** The whole command line. */
export const vmpool = (world: World): Command => {
  const program = new Command('vmpool')
    .description('Elastic OpenStack VMs behind a Torque worker node')
    .version(version, '-V, --version', 'print the version')
    .addHelpText('after', exitHelp);
  for (const make of commands) program.addCommand(make(world));
  program.addCommand(wordsCommand(world), { hidden: true });
  prepare(program, world);
  return program;
};

/** Commands are told apart from their parents by commander: each needs its own output and exit handling. */
const prepare = (command: Command, world: World): void => {
  command.exitOverride().configureOutput({
    writeOut: (text) => world.terminal.write(text),
    writeErr: (text) => world.terminal.err(text.trimEnd()),
  });
  for (const below of command.commands) prepare(below, world);
};

/** Runs one command line (without node and script). Resolves with the exit code; never rejects. */
export const runCli = async (args: readonly string[], outer: Omit<World, 'exitWith'>): Promise<number> => {
  let code: number = exitCodes.ok;
  const world: World = { ...outer, exitWith: (wanted) => void (code = wanted) };
  try {
    await vmpool(world).parseAsync([...args], { from: 'user' });
    return code;
  } catch (error) {
    return explain(error, world);
  }
};

const explain = (error: unknown, { terminal, env }: World): number => {
  // Commander has said already what is wrong.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  const say = (text: string): void => terminal.err(`${terminal.paint('red', 'vmpool:')} ${text}`);
  if (error instanceof CliError) {
    say(error.message);
    return error.code;
  }
  if (error instanceof UnreachableError) {
    say(`${error.message}\nIs it running there (vmpool serve), and is --url or VMPOOL_URL right?`);
    return exitCodes.unreachable;
  }
  if (error instanceof ProblemError) {
    say(`the service refused: ${error.problem.detail}`);
    for (const { path, message } of error.problem.errors ?? []) terminal.err(`  ${path}: ${message}`);
    return exitCodes.refused;
  }
  say(error instanceof Error ? error.message : String(error));
  if ((env['VMPOOL_DEBUG'] ?? '') !== '' && error instanceof Error) terminal.err(error.stack ?? '');
  return exitCodes.notInOrder;
};
