import { formatSize } from '../size.js';

/** What a job asks for, as far as classes of VMs are told apart by it. */
export interface JobWish {
  /** On one node. */
  readonly processors: number;
  /** Bytes; null when the job does not say. */
  readonly memory: number | null;
  /** Properties of a node that the job asks for. */
  readonly features: readonly string[];
  readonly queue: string;
  /** The Torque node that it runs on. */
  readonly worker: string;
}

/** One class of VMs, which is a pool of its own, and what may go there. */
export interface ClassOffer {
  readonly pool: string;
  /** Null: every queue's jobs. */
  readonly queues: readonly string[] | null;
  /** Null: every worker's jobs. */
  readonly workers: readonly string[] | null;
  readonly features: readonly string[];
  /** Only for jobs that ask for one of the features at least. */
  readonly reserved: boolean;
  /** Of one VM; null while it is not known. */
  readonly processors: number | null;
  /** Bytes of one VM; null while it is not known. */
  readonly memory: number | null;
}

export type Choice =
  | { readonly kind: 'chosen'; readonly pool: string }
  /** The job may belong to that class, whose flavor is not known yet: ask again. */
  | { readonly kind: 'not-known-yet'; readonly pool: string; readonly detail: string }
  /** No class fits, now or later. */
  | { readonly kind: 'none'; readonly detail: string };

/**
 * The class for a job: the first in the configured order that fits. A class in front of it whose flavor is not known
 * yet is waited for, so that where a job goes depends on what it asks for and on nothing else. Pure.
 */
export function chooseClass(wish: JobWish, classes: readonly ClassOffer[]): Choice {
  for (const offer of classes) {
    if (objectionOf(wish, offer) !== null) continue;
    if (!isKnownToFit(wish, offer))
      return {
        kind: 'not-known-yet',
        pool: offer.pool,
        detail: `it is not known yet what the VMs of ${offer.pool} have: its shape was not adopted since the service started, see vmpool status`,
      };
    return { kind: 'chosen', pool: offer.pool };
  }
  const offers = classes.map((offer) => `${offerWords(offer)}: ${objectionOf(wish, offer) ?? ''}`);
  return {
    kind: 'none',
    detail: `no class of VMs fits the job, which asks for ${wishWords(wish)}. ${offers.join('; ')}`,
  };
}

/** Why that class never takes the job, as far as the class is known; null when nothing speaks against it. */
export function objectionOf(wish: JobWish, offer: ClassOffer): string | null {
  const { queues, workers, features, processors, memory } = offer;
  if (workers !== null && !workers.includes(wish.worker)) return `not for jobs of ${wish.worker}`;
  if (queues !== null && !queues.includes(wish.queue)) return 'not for that queue';
  const missing = wish.features.filter((feature) => !features.includes(feature));
  if (missing.length > 0) return `lacks ${missing.join(', ')}`;
  if (offer.reserved && wish.features.length === 0) return 'only for jobs that ask for its features';
  if (processors !== null && wish.processors > processors) return 'too few processors';
  if (memory !== null && wish.memory !== null && wish.memory > memory) return 'too little memory';
  return null;
}

/** Every VM has one processor. */
const isKnownToFit = (wish: JobWish, { processors, memory }: ClassOffer): boolean =>
  (processors !== null || wish.processors <= 1) && (memory !== null || wish.memory === null);

const wishWords = ({ processors, memory, features, queue }: JobWish): string =>
  [
    countWords(processors),
    ...(memory === null ? [] : [`${formatSize(memory)} of memory`]),
    ...(features.length === 0 ? [] : [`the features ${features.join(', ')}`]),
    ...(queue === '' ? [] : [`a place in queue ${queue}`]),
  ].join(', ');

const offerWords = ({ pool, queues, workers, features, processors, memory }: ClassOffer): string => {
  const parts = [
    ...(processors === null ? [] : [countWords(processors)]),
    ...(memory === null ? [] : [formatSize(memory)]),
    ...(features.length === 0 ? [] : [`features ${features.join(', ')}`]),
    ...(queues === null ? [] : [`queues ${queues.join(', ')}`]),
    ...(workers === null ? [] : [`workers ${workers.join(', ')}`]),
  ];
  return parts.length === 0 ? pool : `${pool} (${parts.join(', ')})`;
};

const countWords = (processors: number): string =>
  `${String(processors)} ${processors === 1 ? 'processor' : 'processors'}`;
