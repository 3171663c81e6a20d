import type { Client } from '../../http/client.js';
import { sleep } from '../../sleep.js';
import { errorText } from '../../store/files.js';
import { count } from '../table.js';

export interface AuditedStack {
  readonly stack: string;
  readonly result: 'as expected' | 'differs' | 'failed';
  /** What differs, or why it could not be looked at. */
  readonly lines: readonly string[];
}

export interface Audit {
  readonly stacks: readonly AuditedStack[];
  /** What is not in order about the audit itself: a pause that ended too early or could not be ended. */
  readonly problems: readonly string[];
}

export interface AuditParts {
  readonly client: Pick<Client, 'status' | 'pause' | 'resume'>;
  /** In the order in which they are told; never rejects. */
  readonly stacks: readonly {
    readonly stack: string;
    readonly look: (signal: AbortSignal) => Promise<AuditedStack>;
  }[];
  /** Changes are paused for so long at most, seconds. */
  readonly forSeconds: number;
  /** How long updates that run may take to end, milliseconds. */
  readonly waitMs: number;
  readonly tell: (text: string) => void;
  readonly signal: AbortSignal;
  readonly pollMs?: number;
}

/** Previews wait for the backend and the cloud, not for the processor alone. */
const atOnce = 3;
const resumeTries = 10;
const reason = 'audit of the cloud (vmpool audit)';

/**
 * Looks at every stack while nothing is changed in the cloud. Changes go on afterwards whatever happened, unless
 * somebody had paused them before; when the service cannot be told so, the pause ends by itself.
 */
export const audit = async (parts: AuditParts): Promise<Audit> => {
  const { client, tell, signal } = parts;
  const before = (await client.status(signal)).paused;
  if (before === null) {
    // Without the signal: a pause whose answer was not waited for would be ended by nobody.
    await client.pause({ reason, forSeconds: parts.forSeconds });
    tell('Changes are paused.');
  } else tell(`Changes are paused already (${before.why}) and stay so.`);
  const problems: string[] = [];
  let stacks: readonly AuditedStack[] = [];
  try {
    await untilStill(parts);
    stacks = await lookAtAll(parts);
    if (!signal.aborted && (await client.status(signal)).paused === null)
      problems.push(
        "the pause ended before the audit did: what differs may be the pool's own work (--for gives more time)",
      );
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    if (before === null) {
      const failure = await resumed(parts);
      if (failure === null) tell('Changes go on.');
      else problems.push(failure);
    }
  }
  return { stacks, problems };
};

/** Updates that ran when the pause began go on to their end, and show as differences until then. */
const untilStill = async ({ client, waitMs, tell, signal, pollMs = 1_000 }: AuditParts): Promise<void> => {
  const until = performance.now() + waitMs;
  let told = false;
  while (!signal.aborted) {
    const { cells, services } = await client.status(signal);
    const running = [...cells, ...services].filter((each) => each.running).map(({ stack }) => stack);
    if (running.length === 0) return;
    if (performance.now() > until)
      throw new Error(`${running.join(', ')} still being updated: try again later, or with a longer --wait`);
    if (!told) tell(`Waiting for ${count(running.length, 'update')} to end: ${running.join(', ')}`);
    told = true;
    await sleep(pollMs, signal);
  }
};

const lookAtAll = async ({ stacks, signal }: AuditParts): Promise<readonly AuditedStack[]> => {
  const results: AuditedStack[] = [];
  const queue = [...stacks.entries()];
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined && !signal.aborted; next = queue.shift()) {
      const [at, { look }] = next;
      results[at] = await look(signal);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return signal.aborted ? [] : results;
};

/** Also when the audit was stopped: so without its signal. Null, or why the pause could not be ended. */
const resumed = async ({ client, pollMs = 1_000 }: AuditParts): Promise<string | null> => {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await client.resume();
      return null;
    } catch (error) {
      if (attempt === resumeTries)
        return `changes are still paused (vmpool resume ends that; otherwise the pause ends by itself): ${errorText(error)}`;
      await sleep(pollMs, new AbortController().signal);
    }
  }
};
