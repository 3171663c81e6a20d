import { cellConfigValues, type CellConfig } from '../../stacks/cell-config.js';
import { planCell } from '../../stacks/cell-plan.js';
import { summaryStackName } from '../../stacks/summary.js';
import type { CellName, InstallationId, MemberName } from '../pool/model.js';
import type { Backend } from './backend.js';
import { outputsOf, type VersionedDeployment } from './deployment.js';
import { EventTranslator } from './event-translator.js';
import { summaryLimitMs, updateLimitMs } from './limits.js';
import { cellOfStack, cellStackName, type EngineOptions } from './options.js';
import type {
  CellState,
  CellWish,
  ConvergeResult,
  EngineEvent,
  FoundCell,
  PreviewResult,
  PublishedMember,
  UpdateFailure,
} from './port.js';
import {
  cellStateOf,
  instancesIn,
  lostIn,
  membersIn,
  membersToRun,
  prepareState,
  unknownToState,
  unsureAfter,
  type ListedAndRetiring,
} from './prepare.js';
import { PulumiFailed } from './pulumi-command.js';
import type { StackFiles } from './stack-files.js';
import { Places, Turns } from './turns.js';
import { updateErrors, type Updater } from './updater.js';

type Ready =
  | { readonly kind: 'refused'; readonly why: UpdateFailure; readonly message: string; readonly state: CellState | null }
  | {
      readonly kind: 'ready';
      readonly exists: boolean;
      readonly wish: ListedAndRetiring;
      readonly config: CellConfig;
      readonly lost: readonly MemberName[];
      readonly exclude: readonly string[];
    };

/** What the engine process does with cells, one call for each cell at a time. */
export class Cells {
  private readonly turns = new Turns();
  private readonly places: Places;

  constructor(
    private readonly options: EngineOptions,
    private readonly backend: Backend,
    private readonly files: StackFiles,
    private readonly updater: Updater,
  ) {
    this.places = new Places(options.maxParallel);
  }

  /** Never throws: whatever goes wrong is the result's message. */
  async converge(
    wish: CellWish,
    emit: (event: EngineEvent) => void,
    signal: AbortSignal,
  ): Promise<ConvergeResult> {
    const stack = cellStackName(this.options.pool, wish.cell);
    try {
      return await this.alone(stack, () => this.convergeAlone(stack, wish, emit, signal));
    } catch (error) {
      const kind = signal.aborted ? 'aborted' : 'pulumi';
      return { ok: false, state: null, kind, message: `stack ${stack}: ${messageOf(error)}` };
    }
  }

  async found(signal: AbortSignal): Promise<readonly FoundCell[]> {
    const { pool } = this.options;
    const stacks = new Set([...(await this.backend.stacks(signal)), ...this.files.stacksNamed(`${pool}-`)]);
    const cells: FoundCell[] = [];
    for (const stack of [...stacks].sort()) {
      const cell = cellOfStack(pool, stack);
      if (cell === null) {
        continue;
      }
      const found = await this.backend.read(stack, signal);
      const deployment = found.kind === 'found' ? found.state.deployment : {};
      const instances = found.kind === 'broken' ? null : [...instancesIn(deployment)];
      cells.push({ cell: cell as CellName, instances });
    }
    return cells;
  }

  async preview(wish: CellWish, signal: AbortSignal): Promise<PreviewResult> {
    const stack = cellStackName(this.options.pool, wish.cell);
    return this.alone(stack, async () => {
      const ready = await this.makeReady(stack, wish, () => undefined, signal);
      if (ready.kind === 'refused') {
        throw new Error(ready.message);
      }
      return this.updater.preview(this.updateOptions(stack, ready, signal, () => undefined));
    });
  }

  async publishSummary(members: readonly PublishedMember[], signal: AbortSignal): Promise<void> {
    const stack = summaryStackName(this.options.pool);
    // It takes no place of the cells: it would wait for their slowest server, and it calls no cloud.
    await this.turns.use(stack, async () => {
      const locks = this.backend.breakLocks(stack);
      if (locks.kind === 'busy') {
        throw new Error(locks.message);
      }
      const found = await this.backend.readOrPutBack(stack, signal);
      if (found.kind === 'broken') {
        throw new Error(found.message);
      }
      const published = found.kind === 'found' ? outputsOf(found.state.deployment)?.['members'] : undefined;
      if (sameData(published, members)) {
        return;
      }
      this.files.writeConfig(stack, { 'vmpool:kind': 'summary', 'vmpool:members': members });
      const { errors, onEvent } = updateErrors();
      try {
        await this.updater.up({
          stack,
          exists: found.kind === 'found',
          parallel: 1,
          exclude: [],
          limitMs: summaryLimitMs,
          signal,
          onEvent,
        });
      } catch (error) {
        throw new Error(`stack ${stack}: ${[...errors, messageOf(error)].join('; ')}`, { cause: error });
      } finally {
        this.backend.pruneHistory(stack);
      }
    });
  }

  private alone<T>(stack: string, work: () => Promise<T>): Promise<T> {
    return this.turns.use(stack, () => this.places.use(work));
  }

  private async convergeAlone(
    stack: string,
    wish: CellWish,
    emit: (event: EngineEvent) => void,
    signal: AbortSignal,
  ): Promise<ConvergeResult> {
    for (let attempt = 1; ; attempt += 1) {
      const ready = await this.makeReady(stack, wish, emit, signal);
      if (ready.kind === 'refused') {
        return { ok: false, state: ready.state, kind: ready.why, message: ready.message };
      }
      const translator = new EventTranslator(wish.cell, emit);
      let failure: unknown = null;
      try {
        await this.updater.up(this.updateOptions(stack, ready, signal, (event) => translator.take(event)));
      } catch (error) {
        failure = error;
      }
      const general = translator.finish();
      const locks = failure === null ? null : await this.backend.breakReportedLocks(stack, failure, signal);
      if (locks?.kind === 'busy') {
        return { ok: false, state: await this.stateNow(stack, ready), kind: 'locked', message: locks.message };
      }
      if (locks?.kind === 'free' && attempt === 1) {
        continue;
      }
      const state = await this.stateNow(stack, ready);
      this.backend.pruneHistory(stack);
      if (failure === null && state !== null) {
        return { ok: true, state };
      }
      const failures = translator.failures();
      const words = [...failures, ...general];
      const killed = failure instanceof PulumiFailed && failure.exitCode === null;
      return {
        ok: false,
        state,
        kind: kindOf(failure, { aborted: signal.aborted, named: failures.length > 0 }),
        message: `stack ${stack}: ${words.length > 0 && !killed ? words.join('; ') : messageOf(failure)}`,
      };
    }
  }

  /** Locks broken, state read and put in order, config written: what comes before every update and preview. */
  private async makeReady(
    stack: string,
    wish: CellWish,
    emit: (event: EngineEvent) => void,
    signal: AbortSignal,
  ): Promise<Ready> {
    signal.throwIfAborted();
    const locks = this.backend.breakLocks(stack);
    if (locks.kind === 'busy') {
      return { kind: 'refused', why: 'locked', message: locks.message, state: null };
    }
    const remembered = this.files.lostCreates(stack);
    if (remembered.kind === 'broken') {
      return { kind: 'refused', why: 'state', message: remembered.message, state: null };
    }
    const found = await this.backend.readOrPutBack(stack, signal, (copy) => {
      // Whatever was wished for and is in no state any more may have been made: it is on record before the earlier
      // state is there, so that nothing is made a second time.
      const unsure = unsureAfter(wish, copy?.deployment ?? {});
      remembered.names.push(...unsure.filter((name) => !remembered.names.includes(name)));
      this.files.writeLostCreates(stack, remembered.names);
    });
    if (found.kind === 'broken') {
      return { kind: 'refused', why: 'state', message: found.message, state: null };
    }
    if (found.putBack !== null) emit({ type: 'statePutBack', cell: wish.cell, message: found.putBack });
    const deployment = found.kind === 'found' ? found.state.deployment : {};
    const lost = [
      ...new Set([...remembered.names, ...lostIn(deployment), ...unknownToState(wish.members, deployment)]),
    ];
    const config: CellConfig = {
      installation: this.options.installation as InstallationId,
      pool: this.options.pool,
      cell: wish.cell,
      timeoutSeconds: Math.ceil(this.options.createTimeoutMs / 1000),
      members: membersToRun(wish.members, lost, deployment),
    };
    const lists: ListedAndRetiring = {
      members: config.members.map(({ name }) => name),
      retire: wish.retire,
      serverGroups: planCell(config).serverGroups.map(({ resource }) => resource),
    };
    const named = new Set([...wish.members.map(({ name }) => name), ...wish.retire]);
    // Whose server is in the state has lost its floating IP only, and ends through Pulumi.
    const instances = instancesIn(deployment);
    const unseen = lost.filter((name) => named.has(name) && !instances.has(name));
    let exclude: readonly string[] = [];
    if (found.kind === 'found') {
      const prepared = prepareState(deployment, lists, lost);
      exclude = prepared.unlistedUrns;
      // First the names on record, then the state without its pending operations: killed in between, the next
      // start finds both and does the same again.
      this.files.writeLostCreates(stack, lost);
      if (prepared.changed) {
        const next: VersionedDeployment = { ...found.state, deployment: prepared.deployment };
        await this.backend.write(stack, next, signal);
      }
    }
    this.files.writeConfig(stack, cellConfigValues(config));
    // A lost name that the wish no longer holds will never be asked for again; what the state still holds of it
    // is to be released.
    const present = membersIn(deployment);
    const kept = lost.filter((name) => named.has(name) || present.has(name));
    if (kept.length < lost.length) {
      this.files.writeLostCreates(stack, kept);
    }
    return { kind: 'ready', exists: found.kind === 'found', wish: lists, config, lost: unseen, exclude };
  }

  private updateOptions(
    stack: string,
    ready: Extract<Ready, { kind: 'ready' }>,
    signal: AbortSignal,
    onEvent: Parameters<Updater['up']>[0]['onEvent'],
  ): Parameters<Updater['up']>[0] {
    const size = ready.config.members.length + ready.wish.retire.length;
    return {
      stack,
      exists: ready.exists,
      // Each create holds a place for ten seconds or more; floating IPs and the group need some too.
      parallel: Math.max(8, 2 * size + 2),
      exclude: ready.exclude,
      limitMs: updateLimitMs(this.options.createTimeoutMs),
      signal,
      onEvent,
    };
  }

  private async stateNow(
    stack: string,
    ready: Extract<Ready, { kind: 'ready' }>,
  ): Promise<CellState | null> {
    // Read even when the update was aborted: what it did is to be known.
    const found = await this.backend.read(stack, new AbortController().signal);
    switch (found.kind) {
      case 'found':
        return cellStateOf(found.state.deployment, ready.wish, ready.lost);
      case 'none':
        return { instances: [], lostCreates: ready.lost, unlisted: [] };
      case 'broken':
        return null;
    }
  }
}

/** @param failure null where the update went well, and what it left cannot be read */
const kindOf = (
  failure: unknown,
  { aborted, named }: { readonly aborted: boolean; readonly named: boolean },
): UpdateFailure => {
  if (aborted) return 'aborted';
  if (failure === null) return 'state';
  if (failure instanceof PulumiFailed && failure.atLimit) return 'limit';
  if (failure instanceof PulumiFailed && failure.exitCode === null) return 'killed';
  return named ? 'resources' : 'pulumi';
};

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const sameData = (a: unknown, b: unknown): boolean => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));

const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) {
    return value.map(sorted);
  }
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, item]) => [key, sorted(item)]),
    );
  }
  return value;
};
