import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type { LeaseId, MemberName } from '../pool/model.js';
import type { Marker, StageOrder } from './port.js';

/** Safe in file names, in the marker's first field and in one line of an answer. */
export const leaseIdPattern = /^[A-Za-z0-9._-]{1,128}$/;

const markerShape = z.object({
  lease: z
    .string()
    .regex(leaseIdPattern)
    .transform((id) => id as LeaseId),
  key: z.object({
    worker: z.string(),
    job: z.string(),
    attempt: z.object({ start: z.number(), boot: z.string(), pid: z.number(), ticks: z.number() }),
  }),
  user: z.object({
    name: z.string(),
    uid: z.number(),
    gid: z.number(),
    groups: z.array(z.object({ name: z.string(), gid: z.number() })),
    home: z.string(),
    shell: z.string(),
  }),
  /** Absent in markers of the time before they were sealed. */
  mac: z.string().max(200).optional(),
});

type Sealed = Pick<StageOrder, 'lease' | 'key' | 'user'>;

/**
 * Seals markers with the service's own secret, so that a job that became root on its VM can write none that the
 * service takes for its own: neither another job's, nor a real one carried over from another VM.
 */
export class MarkerSeal {
  readonly #key: Buffer;

  /** @param secret the service's; the seal's key is derived from it, so that a seal is never good as anything else */
  constructor(secret: Buffer | string) {
    this.#key = createHmac('sha256', secret).update('vmpool lease marker, version 1').digest();
  }

  /** The MAC of that lease's marker on that VM: over everything that is read from it. */
  of(member: MemberName, { lease, key, user }: Sealed): string {
    const { start, boot, pid, ticks } = key.attempt;
    const text = JSON.stringify([
      ...[member, lease, key.worker, key.job, start, boot, pid, ticks],
      ...[user.name, user.uid, user.gid, user.home, user.shell],
      user.groups.map(({ name, gid }) => [name, gid]),
    ]);
    return createHmac('sha256', this.#key).update(text).digest('base64url');
  }

  isOf(mac: string, member: MemberName, sealed: Sealed): boolean {
    const [given, right] = [Buffer.from(mac), Buffer.from(this.of(member, sealed))];
    return given.length === right.length && timingSafeEqual(given, right);
  }
}

/** One line of JSON whose first field is the lease: the scripts on the VM compare that much of it. */
export function markerText(order: Sealed, member: MemberName, seal: MarkerSeal): string {
  const { lease, key, user } = order;
  return JSON.stringify({ lease, key, user, mac: seal.of(member, order) });
}

/**
 * The marker as read from that VM, or null when it is none: truncated, or of another format. One that has the form but
 * not this service's seal (an old one, a forged one, one of another VM) is read, and not authentic.
 */
export function parseMarker(text: string, member: MemberName, seal: MarkerSeal): Marker | null {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    return null;
  }
  const parsed = markerShape.safeParse(data);
  if (!parsed.success) return null;
  const { mac = '', ...marker } = parsed.data;
  return { ...marker, authentic: seal.isOf(mac, member, marker) };
}
