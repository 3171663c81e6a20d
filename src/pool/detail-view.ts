import type { MemberDetail } from '../http/detail-api.js';
import type { State } from './book.js';
import { leaseView, memberView, stackOf } from './views.js';

/** One VM whole; null when the pool has none of that name. */
export function memberDetail(s: State, name: string): MemberDetail | null {
  const member = s.book.members.get(name);
  if (member === undefined) return null;
  const { spec, state, hold, endpoint } = member;
  return {
    member: memberView(s, member),
    spec: {
      flavor: spec.flavor,
      image: spec.image,
      networks: [...spec.networks],
      securityGroups: [...spec.securityGroups],
      availabilityZones: [...spec.availabilityZones],
      bootVolumeGiB: spec.bootVolumeGiB,
      floatingIpPool: spec.floatingIpPool,
    },
    ...(member.made === undefined ? {} : { made: { ...member.made } }),
    stack: stackOf(s.book.pool, member.cell),
    engine: member.engine,
    serverStatus: member.server?.status ?? null,
    ssh:
      endpoint === null ? null : { host: endpoint.host, port: endpoint.port, hostKeys: [...member.hostKeys] },
    bootId: member.bootId,
    hold:
      hold === null
        ? null
        : {
            kind: hold.kind,
            why: hold.why,
            at: new Date(hold.at).toISOString(),
            limitMs: hold.limitMs ?? null,
          },
    lease: state.kind === 'Busy' ? leaseView(s, state.lease) : null,
  };
}
