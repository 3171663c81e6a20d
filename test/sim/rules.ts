/** The ten invariants, as `docs/explanation/guarantees.md` numbers them; 0 is what has to follow in the end. */
export const invariants = {
  0: 'in the end the world comes to rest',
  1: 'one lease a VM, one attempt a job',
  2: 'a Busy VM is left alone',
  3: 'never more than the maximum, and no leaks',
  4: 'what was answered is durable',
  5: 'nothing of a job is left on a Free VM',
  6: 'stale attempts get nothing',
  7: 'first come, first served',
  8: 'every unusable VM leaves within its limit',
  9: 'decisions are made from what is',
  10: 'no secret leaves',
} as const;

export type Invariant = keyof typeof invariants;

/** Every rule that is checked, and the invariant that it belongs to. */
export const rules = {
  'the world comes to rest': 0,
  'the core does not throw': 0,
  'one lease a VM': 1,
  'one attempt anywhere': 1,
  'a lease has its VM': 1,
  'a Busy VM has its lease': 1,
  'no lease from a forged marker': 1,
  'a Busy VM is left alone': 2,
  'never more than max': 3,
  'a second look comes before a delete': 3,
  'what is not explained stays': 3,
  'no server leaks': 3,
  'no more than the quota known': 3,
  'what was answered is durable': 4,
  'an answered release holds': 4,
  'a lease stays where it is': 4,
  'the store can be read': 4,
  'nothing of a job is left': 5,
  'VMs are not reused': 5,
  'stale attempts get nothing': 6,
  'first come, first served': 7,
  'an abandoned request is dropped': 7,
  'Unusable VMs end': 8,
  'a storm of failures slows down': 8,
  'a pause that the cloud asks for is kept': 8,
  'asking again decides nothing': 9,
  'time does not run backwards': 9,
  'no secret leaves': 10,
} as const satisfies Record<string, Invariant>;

export type Rule = keyof typeof rules;

/** A rule that did not hold. */
export class Violation extends Error {
  constructor(
    readonly rule: Rule,
    message: string,
    /** What kind of thing is wrong, where the rule is a broad one: a shrunk story has to end in the same way. */
    readonly kind = '',
  ) {
    super(`${rule}: ${message}`);
    this.name = 'Violation';
  }
}

/** Counts what was looked at, so that a checker that no longer looks shows in the figures. */
export class Checks {
  readonly counts: Partial<Record<Invariant, number>> = {};

  /** `holds` is what the rule asks for; the message is only made when it does not. */
  must(rule: Rule, holds: boolean, message: () => string): void {
    const invariant = rules[rule];
    this.counts[invariant] = (this.counts[invariant] ?? 0) + 1;
    if (!holds) throw new Violation(rule, message());
  }
}
