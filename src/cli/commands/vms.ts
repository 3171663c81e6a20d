import { Command, InvalidArgumentError } from 'commander';
import { asking, withAccess, withJson, withPool, type AccessOptions } from '../access.js';
import { byUrgency, vmsHead, vmsText, word } from '../screens/vms.js';
import { widthOf } from '../terminal.js';
import type { World } from '../world.js';

const states = [
  'Free',
  'Busy',
  'Unusable',
  'building',
  'unreachable',
  'error',
  'scrubbing',
  'held',
  'deleting',
  'lost',
];

const oneState = (text: string): string => {
  const found = states.find((state) => state.toLowerCase() === text.toLowerCase());
  if (found === undefined) throw new InvalidArgumentError(`give one of ${states.join(', ')}`);
  return found;
};

interface VmsOptions extends AccessOptions {
  readonly state?: string;
}

export const vmsCommand = (world: World): Command =>
  withJson(withPool(withAccess(new Command('vms'))))
    .description('the VMs, the most urgent first')
    .option('-s, --state <state>', `only those in a state or with a reason: ${states.join(', ')}`, oneState)
    .action(async (options: VmsOptions) => {
      const { terminal } = world;
      const status = await asking(world, options, (client) => client.status());
      const { state } = options;
      const vms = byUrgency(status.members).filter(
        (vm) => state === undefined || vm.state === state || word(vm) === state,
      );
      if (options.json === true) {
        terminal.out(JSON.stringify({ members: vms }, null, 2));
        return;
      }
      const none = state === undefined ? 'There are no VMs.' : `No VM is ${state}.`;
      const rows =
        vms.length === 0 ? none : vmsText(vms, Date.parse(status.now), terminal.paint, widthOf(terminal));
      terminal.out(`${vmsHead(status, terminal.paint)}\n\n${rows}`);
    });
