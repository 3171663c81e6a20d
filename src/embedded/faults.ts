import { z } from 'zod';

const callFilter = {
  service: z.enum(['identity', 'compute', 'network', 'image', 'volume']).optional(),
  method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']).optional(),
  /** Pattern of the path below the service, `*` standing for anything: `/servers/detail*`. */
  path: z.string().optional(),
};

/** What can go wrong to order. Times in milliseconds. */
export const faultEffectSchema = z.discriminatedUnion('kind', [
  /** The server stays in BUILD until it is deleted. */
  z.strictObject({ kind: z.literal('stuck-in-build') }),
  /** The server ends in ERROR, with this fault. */
  z.strictObject({
    kind: z.literal('error-at-boot'),
    message: z.string().default('Build of instance aborted: the hypervisor reported an error.'),
    code: z.int().default(500),
  }),
  /** The server ends in ERROR because no host has room. */
  z.strictObject({ kind: z.literal('no-valid-host') }),
  /** The volume that a server is to boot from cannot be made, and the server ends in ERROR. */
  z.strictObject({ kind: z.literal('volume-error') }),
  /** The order is refused as when the project's quota is used up. */
  z.strictObject({ kind: z.literal('quota') }),
  /** A call is answered with this status and not carried out. */
  z.strictObject({
    kind: z.literal('api-error'),
    ...callFilter,
    status: z.int().min(400).max(599),
    retryAfterS: z.number().nonnegative().optional(),
    message: z.string().optional(),
  }),
  /** A call waits before it is carried out. */
  z.strictObject({ kind: z.literal('api-slow'), ...callFilter, ms: z.number().nonnegative() }),
  /** A call is carried out, and the connection is cut before its answer. */
  z.strictObject({ kind: z.literal('lost-answer'), ...callFilter }),
  /** The connection is cut before a call is carried out. */
  z.strictObject({ kind: z.literal('connection-reset'), ...callFilter }),
  /** Lists of servers leave the matching ones out, show what was there when the fault was ordered, or nothing. */
  z.strictObject({ kind: z.literal('listing'), mode: z.enum(['omit', 'stale', 'empty']) }),
  /** From its boot on, a server accepts connections in silence, drops them, or refuses them. */
  z.strictObject({ kind: z.literal('ssh'), mode: z.enum(['mute', 'drop', 'refuse']) }),
  /** The guest ignores user data and key. */
  z.strictObject({ kind: z.literal('no-user-data') }),
  /** The server stays in its deleting task until the fault is cleared. */
  z.strictObject({ kind: z.literal('delete-hangs') }),
  /** The server takes another time to become ACTIVE, or to answer SSH. */
  z.strictObject({
    kind: z.literal('boot-time'),
    buildMs: z.number().nonnegative().optional(),
    sshMs: z.number().nonnegative().optional(),
  }),
]);
export type FaultEffect = z.infer<typeof faultEffectSchema>;

export const faultOrderSchema = z.strictObject({
  effect: faultEffectSchema,
  /** How often it strikes before it is used up; absent: until cleared. */
  times: z.int().positive().optional(),
  /** Names of the servers it is meant for, `*` standing for anything. Ignored by faults of calls. */
  server: z.string().optional(),
});
export type FaultOrder = z.input<typeof faultOrderSchema>;

export interface ActiveFault {
  readonly id: string;
  readonly effect: FaultEffect;
  readonly server: string | undefined;
  /** Strikes left; undefined is without end. */
  remaining: number | undefined;
  /** How often it has struck. */
  struck: number;
}

type EffectKind = FaultEffect['kind'];
type EffectOf<Kind extends EffectKind> = Extract<FaultEffect, { kind: Kind }>;
type CallKind = 'api-error' | 'api-slow' | 'lost-answer' | 'connection-reset';

/** A pattern with `*` as a whole-string regular expression. */
export function glob(pattern: string): RegExp {
  return new RegExp(
    `^${pattern
      .split('*')
      .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
      .join('.*')}$`,
  );
}

/** The faults in force, in the order of their being ordered; the first that matches strikes. */
export class Faults {
  readonly #faults: ActiveFault[] = [];
  #count = 0;
  readonly #cleared = new Set<() => void>();

  order(order: FaultOrder): ActiveFault {
    const { effect, times, server } = faultOrderSchema.parse(order);
    const fault: ActiveFault = { id: `fault-${++this.#count}`, effect, server, remaining: times, struck: 0 };
    this.#faults.push(fault);
    return fault;
  }

  list(): readonly ActiveFault[] {
    return this.#faults;
  }

  /** Clears one fault, or all, and lets what hung on them go on. */
  clear(id?: string): void {
    const kept = id === undefined ? [] : this.#faults.filter((fault) => fault.id !== id);
    this.#faults.splice(0, this.#faults.length, ...kept);
    for (const listener of this.#cleared) listener();
  }

  onCleared(listener: () => void): void {
    this.#cleared.add(listener);
  }

  /** The effect of the first matching fault for a server of this name, counted as struck. */
  strikeServer<Kind extends EffectKind>(kind: Kind, name: string): EffectOf<Kind> | undefined {
    for (const fault of this.#faults) {
      if (!isKind(fault.effect, kind) || (fault.server !== undefined && !glob(fault.server).test(name)))
        continue;
      this.#strike(fault);
      return fault.effect;
    }
    return undefined;
  }

  /** The effect of the first matching fault for a call, counted as struck. */
  strikeCall<Kind extends CallKind>(
    kind: Kind,
    call: { service: string; method: string; path: string },
  ): EffectOf<Kind> | undefined {
    for (const fault of this.#faults) {
      const effect = fault.effect;
      if (!isKind(effect, kind)) continue;
      const { service, method, path } = effect as EffectOf<CallKind>;
      if (service !== undefined && service !== call.service) continue;
      if (method !== undefined && method !== call.method) continue;
      if (path !== undefined && !glob(path).test(call.path)) continue;
      this.#strike(fault);
      return effect;
    }
    return undefined;
  }

  #strike(fault: ActiveFault): void {
    fault.struck += 1;
    if (fault.remaining === undefined) return;
    fault.remaining -= 1;
    if (fault.remaining === 0) this.#faults.splice(this.#faults.indexOf(fault), 1);
  }
}

function isKind<Kind extends EffectKind>(effect: FaultEffect, kind: Kind): effect is EffectOf<Kind> {
  return effect.kind === kind;
}
