import type { State } from '../pool/book.js';
import type { Millis } from '../pool/model.js';
import { countsOf } from '../pool/views.js';
import type { Figure } from './packets.js';

/** The pool's own figures, as Ganglia shows them: members by state, leases, waiting requests and how old the oldest is. Pure. */
export function poolFigures({ book }: State, now: Millis): readonly Figure[] {
  const { free, busy, unusable, leases, waiting } = countsOf(book);
  const asked = book.requests.values().map(({ askedAt }) => askedAt);
  const oldest = asked.length === 0 ? 0 : Math.max(0, Math.round((now - Math.min(...asked)) / 1000));
  return [
    { name: 'vmpool_free', title: 'Free VMs', units: 'VMs', value: free },
    { name: 'vmpool_busy', title: 'Busy VMs', units: 'VMs', value: busy },
    { name: 'vmpool_unusable', title: 'Unusable VMs', units: 'VMs', value: unusable },
    { name: 'vmpool_leases', title: 'Leases', units: 'leases', value: leases },
    { name: 'vmpool_waiting', title: 'Waiting requests', units: 'requests', value: waiting },
    { name: 'vmpool_oldest_request', title: 'Age of the oldest request', units: 's', value: oldest },
  ];
}
