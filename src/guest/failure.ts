export type GuestStep = 'tcp' | 'host-key' | 'login' | 'command';

/** What went wrong with a VM, and at which step. Thrown inside this folder only; the port's results carry it. */
export class GuestFailure extends Error {
  constructor(
    readonly step: GuestStep,
    message: string,
    /** It was there and did not end in time. */
    readonly slow = false,
  ) {
    super(message);
    this.name = 'GuestFailure';
  }
}
