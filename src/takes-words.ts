import type { PoolSummary } from './http/class-api.js';
import { formatSize } from './size.js';

/** Which jobs a class takes, in a line: up to how much of what, of which queues, with which features. */
export const takesWords = ({
  processors,
  memory,
  queues,
  workers,
  features,
  reserved,
}: PoolSummary['takes']): string =>
  [
    processors === null ? 'processors not known yet' : `ppn ${String(processors)}`,
    ...(memory === null ? [] : [`mem ${formatSize(memory)}`]),
    ...(queues === null ? [] : [`queues ${queues.join(', ')}`]),
    ...(workers === undefined ? [] : [`workers ${workers.join(', ')}`]),
    ...(features.length === 0 ? [] : [`${reserved ? 'only features' : 'features'} ${features.join(', ')}`]),
  ].join('; ');
