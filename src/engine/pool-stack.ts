import { z } from 'zod';
import type { Backend } from './backend.js';
import { outputsOf } from './deployment.js';
import { poolStackLimitMs } from './limits.js';
import type { PoolConfigInForce, PoolStackWish } from './port.js';
import { projectTypes, writtenAs } from './stack-config.js';
import type { StackFiles } from './stack-files.js';
import { Turns } from './turns.js';
import { updateErrors, type Updater } from './updater.js';

/** Updates that are looked through for a good one: failed ones are kept in the history too. */
const updatesLookedAt = 20;

/** What to ask the command line for what `lastGood` reads. */
export const historyArguments = (stack: string): readonly string[] => [
  ...['stack', 'history', '--stack', stack, '--json'],
  ...['--page-size', String(updatesLookedAt)],
];

const historySchema = z.array(
  z.looseObject({
    kind: z.string(),
    result: z.string(),
    startTime: z.string(),
    message: z.string().default(''),
    config: z
      .record(z.string(), z.looseObject({ value: z.string().optional(), secret: z.boolean().default(false) }))
      .default({}),
  }),
);

/**
 * The pool's own stack. It is the operators': they bring it up from any checkout. The service does so only when an
 * operator tells it to (`vmpool scale`, `vmpool apply`), with a config that was made from the last update's.
 */
export class PoolStack {
  private readonly turns = new Turns();

  constructor(
    private readonly pool: string,
    private readonly backend: Backend,
    private readonly files: StackFiles,
    private readonly updater: Updater,
  ) {}

  async outputs(signal: AbortSignal): Promise<unknown> {
    // One of ours, left by an engine that was killed in an update, would keep the operators out of their own stack.
    this.backend.breakLocks(this.pool);
    const found = await this.backend.read(this.pool, signal);
    if (found.kind === 'broken') throw new Error(found.message);
    return found.kind === 'none' ? null : outputsOf(found.state.deployment);
  }

  async inForce(signal: AbortSignal): Promise<PoolConfigInForce | null> {
    return lastGood(await this.backend.history(this.pool, historyArguments(this.pool), signal), projectTypes());
  }

  /** Throws with why the stack is not up with the new config. */
  async bringUp({ config, message, since }: PoolStackWish, signal: AbortSignal): Promise<void> {
    await this.turns.use(this.pool, async () => {
      const locks = this.backend.breakLocks(this.pool);
      if (locks.kind === 'busy') throw new Error(locks.message);
      const found = await this.backend.read(this.pool, signal);
      if (found.kind === 'broken') throw new Error(found.message);
      const now = await this.inForce(signal);
      if ((now?.at ?? null) !== since)
        throw new Error(
          `stack ${this.pool} was brought up by somebody else in the meantime: look at what is in force now and try again`,
        );
      this.files.writeConfig(this.pool, config);
      if ((await this.up(message, found.kind === 'found', signal)) === 'stale lock broken')
        await this.up(message, found.kind === 'found', signal);
    });
  }

  private async up(message: string, exists: boolean, signal: AbortSignal): Promise<'done' | 'stale lock broken'> {
    const { errors, onEvent } = updateErrors();
    try {
      await this.updater.up({
        ...{ stack: this.pool, exists, parallel: 1, exclude: [], limitMs: poolStackLimitMs },
        ...{ message, signal, onEvent },
      });
      return 'done';
    } catch (error) {
      const locks = await this.backend.breakReportedLocks(this.pool, error, signal);
      if (locks?.kind === 'free') return 'stale lock broken';
      if (locks?.kind === 'busy') throw new Error(locks.message, { cause: error });
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(`stack ${this.pool}: ${(errors.length > 0 ? errors : [why]).join('; ')}`, { cause: error });
    }
  }
}

/** The newest update that went through, from Pulumi's history. Pure. Throws when that is none. */
export const lastGood = (
  history: unknown,
  types: Readonly<Record<string, string>>,
): PoolConfigInForce | null => {
  const updates = historySchema.parse(history);
  const last = updates.find(({ kind, result }) => kind === 'update' && result === 'succeeded');
  if (last === undefined) return null;
  const entries = Object.entries(last.config);
  return {
    config: Object.fromEntries(
      entries.flatMap(([key, { value = '', secret }]): [string, unknown][] =>
        secret ? [] : [[key, writtenAs(types[key], value)]],
      ),
    ),
    encrypted: entries.flatMap(([key, { secret }]) => (secret ? [key] : [])),
    message: last.message,
    at: last.startTime,
  };
};
