import type { MemberView } from '../../http/api.js';
import { facts, ordersFor, type RunningUsage } from '../model.js';
import { element, make, setText } from './page.js';

const words = {
  hold: ['Hold', 'Keep this VM as it is, for a person to look at. A job on it goes on.'],
  unhold: ['Give back', 'Scrub it, verify it, and let jobs have it again.'],
  drain: ['Drain', 'Give it no other job: when it is clean it is kept without jobs, until it is given back.'],
  retire: ['Retire', 'End this VM: now when it is free, after its job when it is busy.'],
} as const;

export interface Calls {
  /** Gives an order for a VM; resolves with what the service says. */
  readonly give: (vm: string, order: string, reason: string) => Promise<string>;
  /** What the job on a VM has used so far; null where that is not known. */
  readonly usageOn: (vm: string) => Promise<RunningUsage | null>;
}

/** The VM's probes, by which this is known, come seldom; the panel is drawn often. */
const askUsageMs = 10_000;

/** What is known of one VM, and what an operator may order for it. */
export class Panel {
  private readonly dialog = element('panel', HTMLDialogElement);
  private readonly answer = element('order-answer', HTMLElement);
  private readonly reason = element('reason', HTMLInputElement);
  private readonly orders = element('orders', HTMLFormElement);
  private readonly closer = element('close', HTMLButtonElement);
  private name: string | null = null;
  private offered = '';
  /** What its job has used so far, and when that was last asked for. */
  private used: {
    readonly job: string;
    readonly askedAt: number;
    readonly usage: RunningUsage | null;
  } | null = null;

  constructor(private readonly calls: Calls) {
    this.orders.addEventListener('submit', (event) => {
      event.preventDefault(); // Enter in the reason must not choose an order
    });
  }

  shows(): string | null {
    return this.dialog.open ? this.name : null;
  }

  open(member: MemberView, mayOrder: boolean, now: number): void {
    this.name = member.name;
    this.offered = '';
    this.reason.value = '';
    setText(this.answer, '');
    this.update(member, mayOrder, now);
    this.dialog.showModal();
  }

  /** The VM as it is now; null when it is gone. */
  update(member: MemberView | null, mayOrder: boolean, now: number): void {
    if (member === null) {
      this.orders.hidden = true;
      setText(this.answer, 'This VM is gone.');
      return;
    }
    setText(element('panel-title', HTMLElement), member.name);
    element('panel-facts', HTMLElement).replaceChildren(
      ...facts(member, now, this.usageOf(member, mayOrder, now)).flatMap(([name, value]) => [
        make('dt', {}, name),
        make('dd', {}, value),
      ]),
    );
    const orders = mayOrder ? ordersFor(member) : [];
    this.orders.hidden = orders.length === 0;
    // The buttons stay the same objects while they mean the same: focus is not lost.
    if (this.offered === orders.join()) return;
    this.offered = orders.join();
    const buttons = element('order-buttons', HTMLElement);
    const hadFocus = buttons.contains(document.activeElement);
    buttons.replaceChildren(
      ...orders.map((order) => {
        const [label, title] = words[order];
        const button = make('button', { type: 'button', title }, label);
        button.addEventListener('click', () => {
          void this.order(order, button);
        });
        return button;
      }),
    );
    // Whoever gave an order by keyboard goes on here; a second Enter must not give another.
    if (hadFocus) (orders.length === 0 ? this.closer : this.reason).focus();
  }

  private usageOf(member: MemberView, mayOrder: boolean, now: number): RunningUsage | null {
    const { name, job } = member;
    if (job === null) return null;
    const known = this.used?.job === job.id ? this.used : null;
    if (known === null || now - known.askedAt > askUsageMs) {
      this.used = { job: job.id, askedAt: now, usage: known?.usage ?? null };
      this.calls.usageOn(name).then(
        (usage) => {
          if (this.used?.job !== job.id || this.shows() !== name) return;
          this.used = { ...this.used, usage };
          this.update(member, mayOrder, now);
        },
        () => undefined, // the stream tells that the service is away
      );
    }
    return known?.usage ?? null;
  }

  close(): void {
    this.dialog.close();
  }

  private async order(order: keyof typeof words, button: HTMLButtonElement): Promise<void> {
    const { name } = this;
    if (name === null || button.ariaDisabled === 'true') return;
    if (order === 'retire' && button.dataset['sure'] === undefined) {
      button.dataset['sure'] = 'yes';
      setText(button, `Really retire ${name}`);
      return;
    }
    // A button that is really disabled loses the focus.
    button.ariaDisabled = 'true';
    try {
      setText(this.answer, await this.calls.give(name, order, this.reason.value.trim()));
    } catch (error) {
      setText(this.answer, error instanceof Error ? error.message : String(error));
    } finally {
      button.ariaDisabled = null;
      delete button.dataset['sure'];
      setText(button, words[order][0]);
    }
  }
}
