import { problemCodes } from '../http/api.js';
import { problemKinds } from '../http/problem.js';
import type { HoldKind } from '../pool/book.js';
import { lifecycle, type Occurrence, type Place } from '../pool/lifecycle.js';
import { defaultPolicy, type Policy } from '../pool/policy.js';
import { decisions, type Decision, type Reasons } from '../pool/reasons.js';

interface PlaceWords {
  readonly meaning: string;
  /** The setting that ends it, and what then follows. */
  readonly limit: keyof Policy | null;
  readonly operator: string;
}

const places: Readonly<Record<Place, PlaceWords>> = {
  Free: {
    meaning: 'Probed, clean, waiting for a job.',
    limit: null,
    operator: 'nothing; `vmpool drain` or `retire` takes it out of use',
  },
  Busy: {
    meaning: "A job's. Only the job's end, or an operator's `kill`, ends this.",
    limit: null,
    operator: 'nothing; `vmpool why JOB` has its story',
  },
  building: {
    meaning: 'Ordered, not yet seen with SSH and the contract of the image.',
    limit: 'bootLimitMs',
    operator:
      'if it happens often: `vmpool vm show NAME` of one that was given up has the end of its console',
  },
  unreachable: {
    meaning: 'Has answered before and does not now, or could not be made ready for its job.',
    limit: 'unreachableLimitMs',
    operator: 'nothing; when it answers again it is cleaned and verified first',
  },
  error: {
    meaning: 'Nova says ERROR or that somebody stopped it, or it breaks the contract of the image.',
    limit: 'errorLimitMs',
    operator: '`vmpool vm show NAME` says which; an image that breaks the contract needs mending',
  },
  scrubbing: {
    meaning: 'Being cleaned after a job, or verified before its next.',
    limit: 'scrubLimitMs',
    operator: 'nothing; what cannot be cleaned is terminated',
  },
  held: {
    meaning: 'Kept from jobs: see [why VMs are held](#why-vms-are-held).',
    limit: 'heldLimitMs',
    operator: 'what `vmpool status` says of it',
  },
  deleting: {
    meaning: 'On its way out; counts until Nova says that it is gone.',
    limit: 'deleteFallbackMs',
    operator: 'nothing; if it stays, `vmpool status` names the stack and the error',
  },
  lost: {
    meaning: 'Nova says that there is no such server, to a look by id.',
    limit: 'errorLimitMs',
    operator: 'find out who deleted it; the pool makes another',
  },
};

const occurrences: Readonly<Record<Occurrence, string>> = {
  welcomed: 'SSH answers with the known host key, the contract of the image is kept, the baseline is taken',
  answered: 'SSH answers as it should',
  silent: 'SSH does not answer, several times in a row',
  rebooted: 'somebody rebooted it',
  foreignMarker: 'a marker of a job that the book does not expect stands on it',
  unfit: 'the image lacks what the contract asks for, or the host key is another',
  broken: 'Nova reports ERROR, or somebody stopped, paused, shelved or rescued it',
  disturbed: "Nova is at work on it by somebody else's order",
  createFailed: 'it could not be created',
  absent: 'Nova says 404 to a look by id',
  reappeared: 'Nova knows it again',
  granted: 'leased to a job',
  unstageable: 'it could not be made ready for the job; nothing of the job has reached it',
  released: 'its job has ended',
  scrubbed: 'cleaned, and verified against its baseline',
  dirty: 'the verification found something left',
  rebuilt: 'rebuilt from its image (`policy.reuse: rebuild`)',
  held: 'an order of an operator',
  unheld: 'given back, or what held it is explained',
  overdue: 'its time is over, or it is to be retired while no job is on it',
};

const holds: Readonly<Record<HoldKind, readonly [why: string, ends: string]>> = {
  operator: ['`vmpool hold`', '`vmpool unhold`, or the end of `--for`'],
  drain: ['`vmpool drain`: clean, and without jobs', '`vmpool undrain`'],
  unknown: [
    'a server of this pool that the book does not know (after a lost store)',
    'by itself: its marker was read and every worker has synced. A job that lives gets its lease back, otherwise it is retired',
  ],
  restored: [
    'the book is a copy from earlier: a job may have come since',
    'by itself, as above; without a job it is cleaned, verified and used again',
  ],
  'foreign-marker': [
    'a job was on it that this book never sent there',
    'by itself when no worker has that job: it is retired; `vmpool retire` after a look',
  ],
  'copy-back': [
    "the job's output could not be brought to the user's home and is still on it",
    '`vmpool unhold`, when the files were fetched',
  ],
};

/** Why the pool decides what it decides, in words. */
export const decisionReasons: { readonly [D in Decision]: Readonly<Record<Reasons[D], string>> } = {
  made: {
    request: 'a job waits, and no VM that is Free or on its way is left for it',
    minimum: "there would be fewer than the pool's `min`",
    spare: "there would be fewer Free VMs beyond demand than the pool's `spare`",
    roll: 'it takes the place of one of an old spec, beyond the maximum age, or in no stack; at most `policy.maxSurge` at a time',
    found:
      'it was not made now: a server of this pool that the book did not know is taken in, and held until it is explained',
  },
  leased: {
    'first-in-line': 'a VM is Free, and of the requests that can be served this one came first',
    marker: "its marker bears this service's seal and names a living job: the book had lost that lease",
  },
  scrubbed: {
    released: 'its job has ended, or an operator has ended its lease',
    answered: 'it was unreachable or in error, and answers again',
    rebooted: 'somebody rebooted it',
    unheld: 'it was given back, its time to be held was over, or what held it is explained',
  },
  ended: {
    idle: 'Free for longer than `policy.idleBeforeShrink`, and not needed',
    'above-maximum': "there are more VMs than the pool's `max`",
    outdated:
      'of an old spec, older than the pool allows, or in no stack; a new one has taken its place or does so now',
    retired:
      "it was to go as soon as no job is on it: an operator's `retire`, a create that failed in Pulumi while it was in use, or a baseline that is not known",
    killed: "an operator's `kill`",
    limit: 'Unusable for longer than its reason allows',
    'create-failed': 'it could not be created',
    dirty: 'the verification after the scrub found something left',
    'not-reused':
      'it had a job, and VMs are not used twice here (`policy.reuse`), or a rebuild would not clean its volume',
    gone: 'Nova does not know its server any more',
    explained:
      'it was held because nobody knew whether a job runs on it; none does, and its baseline is not to be trusted',
    'never-booted': 'the book did not know it, it hung in BUILD, and no worker has a job on it',
    stray: "another server under a VM's name: that VM was ended, or is a different server by its stack",
    resurfaced: "an earlier copy of a stack's state has it again",
  },
};

/** The key in the configuration file for a field of the policy: `bootLimitMs` is `policy.bootLimit`. */
const setting = (field: keyof Policy): string => `policy.${field.replace(/Ms$/, '')}`;

const span = (value: Policy[keyof Policy]): string =>
  value === null ? 'never' : `${String(Number(value) / 60_000)} min`;

const row = (...cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

const table = (heads: readonly string[], rows: readonly (readonly string[])[]): string =>
  [row(...heads), row(...heads.map(() => '---')), ...rows.map((cells) => row(...cells))].join('\n');

/** The reference of states, reasons and codes as Markdown, from the tables that the program goes by. */
export function statesReference(): string {
  const all = Object.keys(lifecycle) as Place[];
  const moves = all.flatMap((from) =>
    Object.entries(lifecycle[from]).map(([what, to]) => [
      from,
      occurrences[what as Occurrence],
      to,
      `\`${what}\``,
    ]),
  );
  return `# States, reasons and codes

<!-- Generated from src/reference/states.ts; a test compares. -->

A VM is Free, Busy or Unusable; an Unusable one has a reason. \`vmpool vms\`, \`vmpool vm show\`, the dashboard, the HTTP API (\`state\`, \`reason\`) and the metrics (\`vmpool_members\`) use these words.

${table(
  ['state', 'meaning', 'at most (default), then terminated', 'what to do'],
  all.map((place) => {
    const { meaning, limit, operator } = places[place];
    const time = limit === null ? 'no limit' : `\`${setting(limit)}\` (${span(defaultPolicy[limit])})`;
    const name = place === 'Free' || place === 'Busy' ? `**${place}**` : `Unusable: **${place}**`;
    return [name, meaning, place === 'deleting' ? `${time}, then deleted through Nova` : time, operator];
  }),
)}

## What moves a VM

What is not in this table leaves a VM where it is. In particular nothing moves a Busy one but the end of its job. A VM that is to be retired goes when it would have become Free; one for which a hold was ordered is held when its job ends.

${table(['from', 'what happens', 'to', 'name in the sources'], moves)}

## Decisions and their reasons

Whatever made, leased, scrubbed or ended a VM is a line of the history (the files below \`<stateDir>/history\`, and the log): \`decision\` says which of the four it is, \`reason\` why in one word, \`detail\` all of it in words. An operator's order (\`hold\`, \`unhold\`, \`drain\`, \`retire\`, \`kill\`, \`pause\`, \`resume\`) is a line of the kind \`order\` before them, with the name of the token that gave it. \`vmpool events --history --decision any\` is the audit of them, \`--decision ended\` of one kind, \`--json\` for programs; \`vmpool vm show\` says what a VM was made for.

${table(
  ['decision', 'reason', 'because'],
  decisions.flatMap((decision) =>
    Object.entries<string>(decisionReasons[decision]).map(([reason, why]) => [
      `**${decision}**`,
      `\`${reason}\``,
      why,
    ]),
  ),
)}

## Why VMs are held

${table(
  ['kind', 'because', 'ends'],
  Object.entries(holds).map(([kind, [why, ends]]) => [`\`${kind}\``, why, ends]),
)}

Held VMs count against \`max\`. \`policy.heldLimit\` terminates those for which it is not unknown whether a job runs on them.

## Problem codes

Errors of the HTTP API have \`type: urn:vmpool:problem:<code>\`; the command line prints title and detail and ends with code 4 ([exit codes](cli.md#exit-codes)), the prologue requeues or ends the job ([hooks](hooks.md)).

${table(
  ['code', 'status', 'meaning'],
  Object.values(problemCodes).map((code) => [
    `\`${code}\``,
    String(problemKinds[code].status),
    problemKinds[code].title,
  ]),
)}
`;
}
