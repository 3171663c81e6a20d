import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import type { Measured } from '../pool/measured.js';
import type { LeaseId, MemberName } from '../pool/model.js';
import { sleep } from '../sleep.js';
import { parseContract, parseOrderAnswer, parseProbe, printable, type OrderAnswer } from './answers.js';
import { Baselines, type Baseline } from './baselines.js';
import { compareSurvey, referenceOf, type CompareLimits, type Finding } from './compare.js';
import { GuestConnection, messageOf, openSocket } from './connection.js';
import { GuestFailure } from './failure.js';
import { ConnectionPool } from './connection-pool.js';
import { leaseIdPattern, MarkerSeal, markerText } from './marker.js';
import { mountFields } from './mounts.js';
import { decidingSettings, hashedFiles, noiseRules } from './noise.js';
import { defaultGuestLimits, type GuestLimits, type GuestOptions } from './options.js';
import { checkOrder } from './order.js';
import { Patience } from './patience.js';
import type {
  ContractResult,
  Guest,
  GuestTarget,
  KnockResult,
  ProbeResult,
  ScrubResult,
  StageOrder,
  StageResult,
} from './port.js';
import { nulFields, scriptCommand } from './quote.js';
import { guestScript, type ScriptName } from './scripts.js';
import type { Slots } from './slots.js';
import { parseSurvey, type Survey } from './survey.js';

const unpack = promisify(gunzip);

const answerLimit = 256 * 1024;
const surveyLimit = 64 * 1024 * 1024;
const unpackedLimit = 512 * 1024 * 1024;
const overtaken = 'a later order was carried out on the VM before this one';
/** A service that starts on demand needs a moment to settle or end. */
const secondLookMs = 700;

export function createGuest(options: GuestOptions): Guest {
  const limits = { ...defaultGuestLimits, ...options.limits };
  // A site that lowers the one means the other, too, unless it says so.
  const gidMin = options.limits?.gidMin ?? limits.uidMin;
  return new SshGuest(options, { ...limits, gidMin });
}

class SshGuest implements Guest {
  readonly #connections: ConnectionPool;
  readonly #baselines: Baselines;
  readonly #seal: MarkerSeal;
  readonly #patience = new Patience();
  readonly #answered = new Set<MemberName>();
  #lastNumber = 0;

  constructor(
    private readonly options: GuestOptions,
    private readonly limits: GuestLimits,
  ) {
    this.#seal = new MarkerSeal(options.markerSecret);
    this.#baselines = new Baselines(join(options.stateDir, 'baselines'));
    this.#connections = new ConnectionPool(
      (target, handshakes) => this.#connect(target, handshakes),
      limits.handshakesAtOnce,
    );
  }

  async knock({ member, endpoint }: GuestTarget, signal: AbortSignal): Promise<KnockResult> {
    if (this.#answered.has(member)) return { ok: true };
    try {
      (await openSocket(endpoint, this.limits.connectMs, signal)).destroy();
    } catch (error) {
      if (!(error instanceof GuestFailure)) throw error;
      return { ok: false, step: error.step, why: error.message };
    }
    this.#answered.add(member);
    return { ok: true };
  }

  async probe(target: GuestTarget, signal: AbortSignal): Promise<ProbeResult> {
    return this.#patience.call(
      target.member,
      'probe',
      this.limits.probeMs,
      signal,
      async (within): Promise<ProbeResult> => {
        const outcome = await this.#run(target, 'probe', [], Buffer.alloc(0), within);
        const answer = parseProbe(outcome.text, target.member, this.#seal);
        if (!answer.ok) return { ok: false, step: 'command', why: withStderr(answer.why, outcome.stderr) };
        const { marker, bootId, measured } = answer;
        return { ok: true, hostKeys: [outcome.hostKey], marker, bootId, measured };
      },
      (step, why) => ({ ok: false, step, why }),
    );
  }

  async contract(target: GuestTarget, signal: AbortSignal): Promise<ContractResult> {
    return this.#patience.call(
      target.member,
      'contract',
      this.limits.contractMs,
      signal,
      async (within) => {
        const wanted = String(this.limits.minFreeMiB * 1024);
        const outcome = await this.#run(target, 'contract', [wanted], Buffer.alloc(0), within);
        const answer = parseContract(outcome.text);
        if (!answer) {
          const asked =
            this.options.adminUser === 'root'
              ? 'bash, for the login of root'
              : `bash, and sudo without password and tty for ${this.options.adminUser}`;
          const exit = `the contract script ended with code ${outcome.code ?? 'none'}`;
          return { ok: false, missing: [`${asked}: ${withStderr(exit, outcome.stderr)}`] };
        }
        const offMs = answer.epochSeconds * 1000 - this.options.clock.now();
        const missing = [...answer.missing];
        if (Math.abs(offMs) > this.limits.clockSkewMs)
          missing.push(`a right clock: it is off by ${Math.round(offMs / 1000)} s`);
        return missing.length === 0 ? { ok: true } : { ok: false, missing };
      },
      (step, why) => ({ ok: false, missing: [`an answer by SSH (${step}): ${why}`] }),
    );
  }

  async takeBaseline(
    target: GuestTarget,
    signal: AbortSignal,
  ): Promise<{ ok: true } | { ok: false; why: string }> {
    return this.#patience.call(
      target.member,
      'baseline',
      this.limits.baselineMs,
      signal,
      async (within) => {
        const keepers = [...new Set(['root', this.options.adminUser, ...(this.options.keepLogins ?? [])])];
        const welcome = await this.#order(
          target,
          'welcome',
          keepers,
          nulFields(mountFields(this.options.mounts ?? [], null)),
          within,
        );
        if (welcome.kind !== 'ok') return { ok: false as const, why: welcome.why };
        const { survey, stream } = await this.#survey(target, '-', within);
        await this.#baselines.write(target.member, this.options.clock.now(), referenceOf(survey), stream);
        return { ok: true as const };
      },
      (step, why) => ({ ok: false, why: `${step}: ${why}` }),
    );
  }

  async stage(target: GuestTarget, order: StageOrder, signal: AbortSignal): Promise<StageResult> {
    const { adminUser, environment = {} } = this.options;
    const marker = markerText(order, target.member, this.#seal);
    const checked = checkOrder(order, this.limits, adminUser, environment, marker, this.options.mounts);
    if (!checked.ok) return { ok: false, kind: 'refused', why: checked.why };
    return this.#patience.call(
      target.member,
      'stage',
      this.limits.stageMs,
      signal,
      async (within) => {
        const answer = await this.#numbered(target, 'stage', nulFields(checked.fields), within);
        switch (answer.kind) {
          case 'ok':
            return { ok: true };
          case 'refused':
            return { ok: false, kind: 'refused', why: answer.why };
          case 'foreign':
            return {
              ok: false,
              kind: 'foreign-marker',
              why: `the VM carries the marker of lease ${answer.why}`,
            };
          case 'stale':
            return { ok: false, kind: 'unreachable', why: overtaken };
          case 'failed':
            return { ok: false, kind: 'unreachable', why: answer.why };
        }
      },
      (step, why) => ({ ok: false, kind: 'unreachable', why: `${step}: ${why}` }),
    );
  }

  async scrub(target: GuestTarget, lease: LeaseId | null, signal: AbortSignal): Promise<ScrubResult> {
    if (lease !== null && !leaseIdPattern.test(lease))
      throw new Error(`not a lease id: ${JSON.stringify(lease)}`);
    return this.#patience.call(
      target.member,
      'scrub',
      this.limits.scrubMs,
      signal,
      async (within): Promise<ScrubResult> => {
        const baseline = await this.#baseline(target.member);
        if (typeof baseline === 'string')
          return { ok: false, kind: 'dirty', why: baseline, findings: [`baseline: ${baseline}`] };
        const { reference } = baseline;
        const input = nulFields(
          [
            lease ?? '',
            this.limits.uidMin,
            ...[reference.mounts, reference.processes, reference.tmp].flatMap(counted),
          ],
          'latin1',
        );
        const answer = await this.#numbered(target, 'scrub', input, within);
        switch (answer.kind) {
          case 'foreign':
            return {
              ok: false,
              kind: 'foreign-marker',
              why: `the VM carries the marker of lease ${answer.why}`,
              findings: [],
            };
          case 'stale':
            return { ok: false, kind: 'unreachable', why: overtaken, findings: [] };
          case 'refused':
          case 'failed':
            return {
              ok: false,
              kind: 'dirty',
              why: `the scrub did not end: ${answer.why}`,
              findings: [`scrub: ${answer.why}`, ...answer.notes],
              measured: answer.measured,
            };
          case 'ok':
            return this.#verify(target, baseline, answer, within);
        }
      },
      (step, why) => ({ ok: false, kind: 'unreachable', why: `${step}: ${why}`, findings: [] }),
    );
  }

  async measure(target: GuestTarget, lease: LeaseId, signal: AbortSignal): Promise<Measured | null> {
    if (!leaseIdPattern.test(lease)) throw new Error(`not a lease id: ${JSON.stringify(lease)}`);
    return this.#patience.call(
      target.member,
      'measure',
      this.limits.probeMs,
      signal,
      async (within) => (await this.#order(target, 'measure', [lease], Buffer.alloc(0), within)).measured,
      () => null,
    );
  }

  async forget(member: MemberName): Promise<void> {
    this.#connections.drop(member);
    this.#patience.forget(member);
    this.#answered.delete(member);
    await this.#baselines.remove(member);
  }

  async keepOnly(members: readonly MemberName[]): Promise<void> {
    const kept = new Set(members);
    this.#patience.keepOnly(kept);
    for (const member of this.#answered) if (!kept.has(member)) this.#answered.delete(member);
    for (const member of this.#connections.members()) if (!kept.has(member)) this.#connections.drop(member);
    await this.#baselines.keepOnly(kept);
  }

  async close(): Promise<void> {
    await this.#connections.close();
  }

  async #verify(
    target: GuestTarget,
    baseline: Baseline,
    { notes, measured }: OrderAnswer,
    signal: AbortSignal,
  ): Promise<ScrubResult> {
    let findings = await this.#look(target, baseline, signal);
    if (findings.length > 0 && findings.every(({ passing }) => passing)) {
      await sleep(secondLookMs, signal);
      findings = await this.#look(target, baseline, signal);
    }
    if (findings.length === 0) return { ok: true, measured };
    const shown = findings.slice(0, this.limits.maxFindings).map(({ text }) => text);
    if (findings.length > shown.length) shown.push(`and ${findings.length - shown.length} more`);
    shown.push(...notes.map((note) => `scrub: ${note}`));
    return {
      ok: false,
      kind: 'dirty',
      why: `${findings.length} things differ from the VM's baseline: ${shown[0] ?? ''}`,
      findings: shown,
      measured,
    };
  }

  async #look(target: GuestTarget, baseline: Baseline, signal: AbortSignal): Promise<Finding[]> {
    const { survey } = await this.#survey(target, baseline.reference.treeHash, signal);
    const tree = survey.treeHash === baseline.reference.treeHash ? [] : await baseline.readTree();
    const compareLimits: CompareLimits = {
      uidMin: this.limits.uidMin,
      spaceMarginKiB: this.limits.spaceMarginMiB * 1024,
    };
    return compareSurvey(baseline.reference, survey, () => tree, compareLimits);
  }

  async #baseline(member: MemberName): Promise<Baseline | string> {
    try {
      return (await this.#baselines.read(member)) ?? 'no baseline of this VM was ever taken';
    } catch (error) {
      return messageOf(error);
    }
  }

  async #survey(
    target: GuestTarget,
    expected: string,
    signal: AbortSignal,
  ): Promise<{ survey: Survey; stream: Buffer }> {
    const input = nulFields([
      expected,
      ...noiseRules.map(({ path }) => path),
      '--',
      ...hashedFiles,
      ...decidingSettings,
    ]);
    const outcome = await this.#exec(target, 'survey', [], input, surveyLimit, signal);
    let survey: Survey | null = null;
    try {
      survey = parseSurvey(await unpack(outcome.stdout, { maxOutputLength: unpackedLimit }));
    } catch {
      // Not a gzip stream: the same as records that cannot be read.
    }
    if (!survey) throw new GuestFailure('command', withStderr(noAnswer('survey', ''), outcome.stderr));
    return { survey, stream: outcome.stdout };
  }

  /**
   * Gives an order under a number that the VM keeps: it refuses whatever comes later with a lower one, as the order of
   * a service that was killed may. The number is the time, so that it grows from one service to the next; where the
   * clock has gone back since, the VM's answer tells from where to count.
   */
  async #numbered(
    target: GuestTarget,
    name: 'stage' | 'scrub',
    input: Buffer,
    signal: AbortSignal,
  ): Promise<OrderAnswer> {
    this.#lastNumber = Math.max(Math.floor(this.options.clock.now()), this.#lastNumber + 1);
    const answer = await this.#order(target, name, [String(this.#lastNumber)], input, signal);
    if (answer.kind !== 'stale') return answer;
    const last = Number(answer.why);
    // An order of this service's own came first.
    if (!(last > this.#lastNumber)) return answer;
    // Not kept: what one VM says must not count for the others.
    return this.#order(target, name, [String(last + 1)], input, signal);
  }

  async #order(
    target: GuestTarget,
    name: ScriptName,
    args: readonly string[],
    input: Buffer,
    signal: AbortSignal,
  ): Promise<OrderAnswer> {
    const outcome = await this.#run(target, name, args, input, signal);
    const answer = parseOrderAnswer(outcome.text);
    if (!answer) throw new GuestFailure('command', withStderr(noAnswer(name, outcome.text), outcome.stderr));
    if (answer.notes.length > 0)
      this.options.log('notes from a VM', { member: target.member, script: name, notes: answer.notes });
    return answer;
  }

  async #run(
    target: GuestTarget,
    name: ScriptName,
    args: readonly string[],
    input: Buffer,
    signal: AbortSignal,
  ) {
    const outcome = await this.#exec(target, name, args, input, answerLimit, signal);
    return { ...outcome, text: outcome.stdout.toString('utf8') };
  }

  #exec(
    target: GuestTarget,
    name: ScriptName,
    args: readonly string[],
    stdin: Buffer,
    maxBytes: number,
    signal: AbortSignal,
  ) {
    const command = scriptCommand(this.options.adminUser, guestScript(name), args);
    return this.#connections.exec(target, command, { stdin, maxBytes, signal });
  }

  async #connect(target: GuestTarget, handshakes: Slots): Promise<GuestConnection> {
    if (target.hostKeys.length === 0 && this.options.hostKeyPolicy === 'console') {
      throw new GuestFailure(
        'host-key',
        'the host keys are not known yet: the image must print them on the console (cloud-init does), or set guest.hostKeys to first-sight',
      );
    }
    let privateKey: Buffer;
    try {
      privateKey = await readFile(this.options.privateKeyFile);
    } catch (error) {
      throw new GuestFailure('login', `cannot read the pool's admin key: ${messageOf(error)}`);
    }
    const { connectMs, keepaliveMs } = this.limits;
    const { endpoint, hostKeys, member } = target;
    return GuestConnection.connect(
      {
        endpoint,
        username: this.options.adminUser,
        privateKey,
        hostKeys,
        connectMs,
        loginMs: this.#patience.limit(member, connectMs),
        keepaliveMs,
      },
      handshakes,
    );
  }
}

function counted(list: readonly string[]): (string | number)[] {
  return [list.length, ...list];
}

function noAnswer(script: string, output: string): string {
  return `the ${script} script did not answer as it should: ${printable(output) || 'nothing'}`;
}

function withStderr(why: string, stderr: string): string {
  return stderr.trim() === '' ? why : `${why} (${printable(stderr.trim())})`;
}
