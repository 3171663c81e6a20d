import { Argument, Command } from 'commander';
import { shells, filesCode, type Shell } from '../completion/shells.js';
import { offerAt, type Offer, type Word } from '../completion/words.js';
import { accessOf } from '../access.js';
import { harmlessLine } from '../terminal.js';
import type { World } from '../world.js';

export const completionCommand = (world: World): Command =>
  new Command('completion')
    .description('what a shell is to be told so that Tab completes commands, options, VMs, jobs and pools')
    .addArgument(new Argument('<shell>', 'your shell').choices(Object.keys(shells)))
    .addHelpText('after', '\nFor bash, in ~/.bashrc: source <(vmpool completion bash)')
    .action((shell: Shell) => world.terminal.out(shells[shell]));

/** Somebody waits with a finger on the key. */
const limitMs = 2_000;

/** Asked by the shells: a line for each word that may stand last, with what it means. Never says what went wrong. */
export const wordsCommand = (world: World): Command => {
  const command: Command = new Command('words')
    .argument('[words...]')
    .action(async (typed: readonly string[]) => {
      const program = command.parent;
      if (program === null) return;
      const line = joined(typed);
      const offer = offerAt(program, line);
      if (offer.kind === 'files') {
        world.exitWith(filesCode);
        return;
      }
      const begun = line.at(-1) ?? '';
      const head = /^--[^=]+=/.exec(begun)?.[0] ?? '';
      // bash replaces only what it holds for a word; the others the whole.
      const prefix = typed.at(-1) === begun ? head : '';
      for (const { word, description } of await wordsOf(offer, world))
        if (word.startsWith(begun.slice(head.length)))
          world.terminal.out(`${prefix}${harmlessLine(word)}\t${harmlessLine(description)}`);
    });
  return command;
};

/** bash takes the sign of equality in `--pool=batch` for a word of its own. */
const joined = (typed: readonly string[]): readonly string[] =>
  typed.reduce<readonly string[]>((all, word) => {
    const last = all.at(-1) ?? '';
    const belongs = last.startsWith('--') && (word === '=' || last.endsWith('='));
    return belongs ? [...all.slice(0, -1), last + word] : [...all, word];
  }, []);

const wordsOf = async (offer: Offer, world: World): Promise<readonly Word[]> => {
  if (offer.kind === 'nothing' || offer.kind === 'files') return [];
  if (offer.kind === 'words') return offer.words;
  try {
    const client = world.connect(accessOf({}, world.env));
    try {
      const { members, leases, requests, pools, pool } = await client.status(AbortSignal.timeout(limitMs));
      switch (offer.kind) {
        case 'vms':
          return members.map(({ name, state }) => ({ word: name, description: state }));
        case 'jobs':
          return [...leases, ...requests].map(({ job, user = '' }) => ({ word: job, description: user }));
        case 'pools':
          return (pools ?? [{ name: pool }]).map(({ name }) => ({ word: name, description: '' }));
      }
    } finally {
      client.close();
    }
  } catch {
    // No token, no service: the shell offers nothing.
    return [];
  }
};
