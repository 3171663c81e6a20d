export interface MomThreadOptions {
  /** `$jobstartblocktime`: how long a start keeps the mom from everything else. */
  readonly blockMs: number;
  /** What each job that is still starting costs each round of the mom's loop (1 s). */
  readonly loopMs: number;
}

/** Rounds of the loop that a start takes until it is forked: found from when four jobs started together begin. */
const roundsPerStart = 4;

/** Resolves when `what` is over or the time is, and takes that time from everybody else. */
const within = async (ms: number, what: Promise<void>): Promise<void> => {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([what, limit]);
  clearTimeout(timer);
};

/**
 * The one thread of a mom: starts come one after the other, and each job in its prologue slows the loop for all. So
 * a slow prologue slows the whole node.
 */
export class MomThread {
  readonly #starting = new Set<Promise<void>>();
  #turn: Promise<void> = Promise.resolve();

  constructor(private readonly options: MomThreadOptions) {}

  /** Waits for this start's turn, then runs `fork`, which resolves when the prologue is over. */
  async start(fork: () => Promise<void>): Promise<void> {
    const before = this.#turn;
    let over = (): void => undefined;
    this.#turn = new Promise((resolve) => (over = resolve));
    await before;
    for (let round = 0; round < roundsPerStart; round++)
      for (const job of [...this.#starting])
        if (this.#starting.has(job)) await within(this.options.loopMs, job);
    const prologue: Promise<void> = fork().finally(() => this.#starting.delete(prologue));
    this.#starting.add(prologue);
    await within(this.options.blockMs, prologue);
    over();
    await prologue;
  }
}
