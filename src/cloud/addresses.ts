import { z } from 'zod';
import type { InstallationId } from '../pool/model.js';
import { CloudError, floatingIpDescription } from './port.js';
import type { FloatingIpView } from './port.js';
import type { Session } from './session.js';

const addressShape = z.object({
  id: z.string().min(1),
  floating_ip_address: z.string(),
  description: z.string().nullish(),
  port_id: z.string().nullish(),
});

type Address = z.infer<typeof addressShape>;

/** Null where it is not this installation's. */
function asOurs(address: Address, installation: InstallationId): FloatingIpView | null {
  const mark = floatingIpDescription(installation, '');
  const description = address.description ?? '';
  if (!description.startsWith(mark)) return null;
  return {
    id: address.id,
    address: address.floating_ip_address,
    member: description.slice(mark.length),
    isAssociated: (address.port_id ?? null) !== null,
  };
}

const pathOf = (id: string): string => `/floatingips/${encodeURIComponent(id)}`;

/**
 * The project's floating IPs that this installation's description is on. Where Neutron shows no more than a page, the
 * others come when those of the page have gone. Throws `CloudError`.
 */
export async function listFloatingIps(
  session: Session,
  installation: InstallationId,
  signal: AbortSignal,
): Promise<readonly FloatingIpView[]> {
  const shape = z.object({ floatingips: z.array(addressShape) });
  const what = 'list the floating IPs';
  const body = await session.read(
    { what, service: 'network', method: 'GET', path: '/floatingips' },
    shape,
    signal,
  );
  return body.floatingips.flatMap((each) => asOurs(each, installation) ?? []);
}

/** Null when Neutron says 404, or it is not this installation's any more. */
export async function readFloatingIp(
  session: Session,
  installation: InstallationId,
  id: string,
  signal: AbortSignal,
): Promise<FloatingIpView | null> {
  const shape = z.object({ floatingip: addressShape });
  const what = `read the floating IP ${id}`;
  try {
    const body = await session.read(
      { what, service: 'network', method: 'GET', path: pathOf(id) },
      shape,
      signal,
    );
    return asOurs(body.floatingip, installation);
  } catch (error) {
    if (error instanceof CloudError && error.kind === 'not-found') return null;
    throw error;
  }
}

/** Gives it back to its pool; absent is done. */
export async function releaseFloatingIp(session: Session, id: string, signal: AbortSignal): Promise<void> {
  await session.call(
    {
      what: `release the floating IP ${id}`,
      service: 'network',
      method: 'DELETE',
      path: pathOf(id),
      accept: [404],
    },
    signal,
  );
}
