import { allFaults } from './faults.js';
import { invariants, type Invariant } from './rules.js';
import type { Told } from './story.js';

/** Sums up stories: what was told, what struck, what was looked at. */
export class Figures {
  steps = 0;
  stories = 0;
  private simulatedMs = 0;
  private jobs = 0;
  private readonly strikes: Record<string, number> = {};
  private readonly checks: Record<string, number> = {};
  private readonly began = performance.now();

  add(told: Told): void {
    this.steps += told.steps;
    this.stories += 1;
    this.simulatedMs += told.simulatedMs;
    this.jobs += told.jobsDone;
    for (const [fault, n] of Object.entries(told.strikes))
      this.strikes[fault] = (this.strikes[fault] ?? 0) + n;
    for (const [i, n] of Object.entries(told.checks)) this.checks[i] = (this.checks[i] ?? 0) + n;
  }

  seconds(): number {
    return (performance.now() - this.began) / 1000;
  }

  /** For a person to read. */
  lines(first: number): string[] {
    const seconds = this.seconds();
    const struck = Object.values(this.strikes).reduce((sum, n) => sum + n, 0);
    const never = allFaults.filter((fault) => this.strikes[fault] === undefined);
    const byNumber = Object.entries(this.strikes).sort((a, b) => b[1] - a[1]);
    return [
      `${this.stories} stories (seeds ${first} to ${first + this.stories - 1}), ${this.steps} steps, ${this.jobs} jobs done, ` +
        `${(this.simulatedMs / 3_600_000).toFixed(0)} simulated hours in ${seconds.toFixed(1)} s ` +
        `(${Math.round((this.steps / seconds) * 60)} steps a minute); no rule was broken`,
      `faults: ${struck} of ${byNumber.length} kinds: ${byNumber.map(([fault, n]) => `${fault} ${n}`).join(', ')}` +
        (never.length > 0 ? `; never: ${never.join(', ')}` : ''),
      'checks:',
      ...Object.entries(invariants)
        .filter(([number]) => number !== '0')
        .map(
          ([number, text]) =>
            `  ${number.padStart(2)}. ${text.padEnd(46)} ${String(this.checks[Number(number) as Invariant] ?? 0).padStart(10)}`,
        ),
    ];
  }
}
