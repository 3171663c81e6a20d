import type { Argument, Command, Option } from 'commander';

export interface Word {
  readonly word: string;
  readonly description: string;
}

/** What stands for a place on the command line: words to choose from, names that only the service knows, or files. */
export type Offer =
  | { readonly kind: 'words'; readonly words: readonly Word[] }
  | { readonly kind: 'vms' | 'jobs' | 'pools' | 'files' }
  | { readonly kind: 'nothing' };

/** By the name of an argument or of an option's value, as in the help. */
const kinds: Readonly<Record<string, 'vms' | 'jobs' | 'files'>> = {
  ...{ vm: 'vms', job: 'jobs' },
  ...{ file: 'files', dir: 'files', path: 'files', target: 'files' },
};

const nothing: Offer = { kind: 'nothing' };
const words = (list: readonly Word[]): Offer => ({ kind: 'words', words: list });

/** Where the walk along what was typed has arrived. */
interface Place {
  readonly command: Command;
  /** Positional words so far. */
  readonly given: number;
  /** The option whose value comes next. */
  readonly open: Option | null;
  /** After `--`. */
  readonly ended: boolean;
}

const takesValue = (option: Option): boolean => option.required || option.optional;
const optionsOf = (command: Command): readonly Option[] => command.createHelp().visibleOptions(command);
const commandsOf = (command: Command): readonly Command[] => command.createHelp().visibleCommands(command);
const optionNamed = (command: Command, name: string): Option | undefined =>
  optionsOf(command).find(({ short, long }) => name === short || name === long);

const step = (place: Place, word: string): Place => {
  const { command, given, open, ended } = place;
  if (open !== null) return { ...place, open: null };
  if (ended) return { ...place, given: given + 1 };
  if (word === '--') return { ...place, ended: true };
  if (word.startsWith('-') && word !== '-') {
    const option = optionNamed(command, word);
    return option !== undefined && takesValue(option) ? { ...place, open: option } : place;
  }
  const below = given === 0 ? commandsOf(command).find((each) => each.name() === word) : undefined;
  return below === undefined
    ? { ...place, given: given + 1 }
    : { command: below, given: 0, open: null, ended: false };
};

const ofValue = (name: string, choices: readonly string[] | undefined): Offer => {
  if (choices !== undefined && choices.length > 0)
    return words(choices.map((word) => ({ word, description: '' })));
  const kind = kinds[name];
  return kind === undefined ? nothing : { kind };
};

const ofOption = (option: Option): Offer => {
  if (option.long === '--pool') return { kind: 'pools' };
  if (option.long === '--job') return { kind: 'jobs' };
  const name = /[<[]([^>\].]+)/.exec(option.flags)?.[1] ?? '';
  return ofValue(name, option.argChoices);
};

const ofArgument = (command: Command, given: number): Offer => {
  const all: readonly Argument[] = command.registeredArguments;
  const last = all.at(-1);
  const argument = all[given] ?? (last?.variadic === true ? last : undefined);
  return argument === undefined ? nothing : ofValue(argument.name(), argument.argChoices);
};

/**
 * What may stand at the end of a command line: `typed` are its words after the program's name, the last one being
 * what has been begun, perhaps empty. What was begun is not yet held against the offer. Pure.
 */
export const offerAt = (program: Command, typed: readonly string[]): Offer => {
  const begun = typed.at(-1) ?? '';
  const start: Place = { command: program, given: 0, open: null, ended: false };
  const place = typed.slice(0, -1).reduce(step, start);
  if (place.open !== null) return ofOption(place.open);
  if (place.ended) return ofArgument(place.command, place.given);
  const value = /^(--[^=]+)=/.exec(begun)?.[1];
  if (value !== undefined) {
    const option = optionNamed(place.command, value);
    return option === undefined ? nothing : ofOption(option);
  }
  if (begun.startsWith('-'))
    return words(
      optionsOf(place.command).map(({ short, long, description }) => ({
        word: long ?? short ?? '',
        description,
      })),
    );
  const below = place.given === 0 ? commandsOf(place.command) : [];
  if (below.length === 0) return ofArgument(place.command, place.given);
  return words(below.map((each) => ({ word: each.name(), description: each.description() })));
};
