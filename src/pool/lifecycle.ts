import type { UnusableReason } from './model.js';

/** Every place a member can be in: the paper's three states, Unusable split by its reason. */
export type Place = 'Free' | 'Busy' | UnusableReason;

/** What can happen to a member, as seen from its own life. */
export type Occurrence =
  /** SSH answers, the image's contract is kept, the baseline is taken. */
  | 'welcomed'
  /** SSH answers as it should (host key, login, command, expected marker). */
  | 'answered'
  /** SSH does not answer. */
  | 'silent'
  /** The guest was rebooted by someone else. */
  | 'rebooted'
  /** A marker stands on the VM that the book does not expect. */
  | 'foreignMarker'
  /** The image lacks what the contract asks for, or the host key is not the known one. */
  | 'unfit'
  /** Nova reports ERROR, or someone else stopped, paused, shelved or rescued it. */
  | 'broken'
  /** Nova is at work on it by someone else's order: rebuild, resize, evacuation, reboot. */
  | 'disturbed'
  /** The engine could not create it. */
  | 'createFailed'
  /** Nova says 404 to a look by id. */
  | 'absent'
  /** Nova knows it again. */
  | 'reappeared'
  | 'granted'
  /** The VM could not be made ready for the job: nothing of it has reached the VM. */
  | 'unstageable'
  | 'released'
  | 'scrubbed'
  /** The verification found what the scrub had left. */
  | 'dirty'
  /** Rebuilt from its image by our order. */
  | 'rebuilt'
  | 'held'
  | 'unheld'
  /** Unusable for longer than its reason allows, or to be retired while Free. */
  | 'overdue';

/**
 * The whole life of a VM. What is not in the table leaves the member where it is; in particular nothing but
 * its job's end moves a Busy one (an operator's `held` waits for that too).
 */
export const lifecycle: Readonly<Record<Place, Readonly<Partial<Record<Occurrence, Place>>>>> = {
  building: {
    welcomed: 'Free',
    foreignMarker: 'held',
    unfit: 'error',
    broken: 'error',
    createFailed: 'deleting',
    absent: 'lost',
    held: 'held',
    overdue: 'deleting',
  },
  Free: {
    granted: 'Busy',
    silent: 'unreachable',
    rebooted: 'scrubbing',
    disturbed: 'unreachable',
    foreignMarker: 'held',
    unfit: 'error',
    broken: 'error',
    absent: 'lost',
    held: 'held',
    overdue: 'deleting',
  },
  Busy: {
    released: 'scrubbing',
    unstageable: 'unreachable',
  },
  unreachable: {
    answered: 'scrubbing',
    foreignMarker: 'held',
    unfit: 'error',
    broken: 'error',
    absent: 'lost',
    held: 'held',
    overdue: 'deleting',
  },
  error: {
    answered: 'scrubbing',
    foreignMarker: 'held',
    absent: 'lost',
    held: 'held',
    overdue: 'deleting',
  },
  scrubbing: {
    scrubbed: 'Free',
    dirty: 'deleting',
    rebuilt: 'building',
    foreignMarker: 'held',
    broken: 'error',
    absent: 'lost',
    held: 'held',
    overdue: 'deleting',
  },
  held: {
    unheld: 'scrubbing',
    silent: 'unreachable',
    absent: 'lost',
    overdue: 'deleting',
  },
  lost: {
    reappeared: 'unreachable',
    held: 'held',
    overdue: 'deleting',
  },
  deleting: {},
};

/** Where a member goes from `place` when `what` happens; the same place when nothing follows. */
export function next(place: Place, what: Occurrence): Place {
  return lifecycle[place][what] ?? place;
}
