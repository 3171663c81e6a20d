import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { publicKey } from '../../http/api.js';
import type { LeaseAnswer, LeaseView } from '../../http/api.js';
import { errorText } from '../../store/files.js';
import { asking, withAccess, withJson, type AccessOptions } from '../access.js';
import { CliError, exitCodes } from '../exit.js';
import { handJobId, handRequest, untilReady } from '../hand-lease.js';
import { jobUserOf } from '../job-user.js';
import type { World } from '../world.js';

interface RequestOptions extends AccessOptions {
  readonly user?: string;
  readonly key: string;
  readonly job?: string;
  readonly wait: number;
}

export const wholeSeconds = (text: string): number => {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('give whole seconds.');
  return Number(text);
};

export const requestCommand = (world: World): Command =>
  withJson(withAccess(new Command('request')))
    .description('ask for a VM by hand and keep it until vmpool release (needs a worker token)')
    .requiredOption('-k, --key <file>', 'your SSH public key, such as ~/.ssh/id_ed25519.pub')
    .option('-u, --user <name>', 'account of this machine that the VM is for (otherwise yours)')
    .option('-j, --job <id>', 'name of the job in the pool (otherwise a new one)')
    .option('-w, --wait <seconds>', 'how long to wait for it', wholeSeconds, 600)
    .action(async (options: RequestOptions) => {
      const user = await jobUserOf(options.user);
      const key = keyOf(options.key);
      const { asked, view } = await asking(world, options, async (client) => {
        const request = handRequest(options.job ?? handJobId(), user, key, 'by hand');
        const answer = await client.request(request, { waitSeconds: 2, until: 'ready' });
        const tell = (detail: string): void => world.terminal.err(detail);
        const never = new AbortController().signal;
        return { asked: answer, view: await untilReady(client, answer, options.wait * 1000, tell, never) };
      });
      world.terminal.out(
        options.json === true ? JSON.stringify({ ...view, capability: asked.capability }) : text(asked, view),
      );
      if (!view.ready) world.exitWith(exitCodes.notInOrder);
    });

const keyOf = (file: string): string => {
  let content: string;
  try {
    content = readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new CliError(`the public key cannot be read: ${errorText(error)}`, exitCodes.usage);
  }
  const parsed = publicKey.safeParse(content);
  if (parsed.success) return parsed.data;
  throw new CliError(`${file} is not one line of an OpenSSH public key`, exitCodes.usage);
};

const text = (asked: LeaseAnswer, view: LeaseView): string => {
  const release = `vmpool release ${view.id}`;
  if (view.state === 'ended') return `Job ${view.job} has no VM: ${view.detail}.`;
  if (!view.ready || view.vm === null) {
    return `Job ${view.job} still waits: ${view.detail}.\nIt keeps its place for a while; give it up with: ${release}`;
  }
  const { member, user, host, port, hostKeys } = view.vm;
  return [
    `${member} is yours as ${user} (job ${asked.job}).`,
    `  ssh -p ${String(port)} ${user}@${host}`,
    ...hostKeys.map((key) => `  its host key: ${key}`),
    `Give it back with: ${release}`,
  ].join('\n');
};
