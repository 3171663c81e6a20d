import { z } from 'zod';
import type { LeaseId } from '../pool/model.js';
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
});

/** One line of JSON whose first field is the lease: the scripts on the VM compare that much of it. */
export function markerText(order: StageOrder): string {
  const { lease, key, user } = order;
  return JSON.stringify({ lease, key, user });
}

/** The marker as read from a VM, or null when it is not one of ours: truncated, edited, or of another format. */
export function parseMarker(text: string): Marker | null {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    return null;
  }
  const parsed = markerShape.safeParse(data);
  return parsed.success ? parsed.data : null;
}
