import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { asking, withAccess, type AccessOptions } from '../access.js';
import { wholeConfigOf, withConfig, type ConfigOptions } from '../configured.js';
import { CliError } from '../exit.js';
import { requireSsh } from '../job-user.js';
import { sshInto } from '../ssh-into.js';
import type { World } from '../world.js';

interface SshOptions extends AccessOptions, ConfigOptions {
  readonly identity?: string;
  readonly user?: string;
}

export const sshCommand = (world: World): Command =>
  withConfig(withAccess(new Command('ssh')))
    .description("log in to a VM as the pool's administrator; its host key is the one that the service knows")
    .argument('<vm>', 'name of the VM, as in vmpool vms')
    .argument('[command...]', 'run this there instead of a shell, after --')
    .option(
      '-i, --identity <file>',
      "private key of the administration (otherwise that of the service's configuration)",
    )
    .option('-u, --user <name>', "account on the VM (otherwise that of the service's configuration)")
    .addHelpText(
      'after',
      '\nThe exit code is that of the command, 255 when ssh could not log in.\nExample: vmpool ssh batch-0007-k2xp -- journalctl -b',
    )
    .action(async (vm: string, command: string[], options: SshOptions) => {
      const { ssh, member } = await asking(world, options, (client) => client.member(vm));
      if (ssh === null)
        throw new CliError(`${vm} has no address yet: it is ${member.reason ?? member.state}`);
      if (ssh.hostKeys.length === 0)
        throw new CliError(
          `the host key of ${vm} is not known yet: nobody can say which machine answers there`,
        );
      const isNamed = options.identity !== undefined && options.user !== undefined;
      const { guest } = isNamed ? { guest: null } : wholeConfigOf(options, world);
      await requireSsh();
      if (member.job !== null)
        world.terminal.err(`Job ${member.job.id} of ${member.job.user} runs here: leave it alone.`);
      const directory = mkdtempSync(join(tmpdir(), 'vmpool-ssh-'));
      try {
        const code = await sshInto(
          {
            ...{ directory, host: ssh.host, port: ssh.port, hostKeys: ssh.hostKeys },
            identity: options.identity ?? guest?.privateKeyFile ?? '',
            user: options.user ?? guest?.user ?? '',
          },
          command,
          world.stop,
        );
        world.exitWith(code);
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    });
