/** How a service of the site sees a VM. `unknown`: it has not looked yet. */
export type Health = 'up' | 'down' | 'unknown';

/** A daemon of the site's whose hosts follow the pool, as a person sees it who looks at it. */
export interface Watched {
  readonly name: string;
  /** By the VM's name: what the daemon itself shows now, not what its files say. */
  hosts(): Promise<ReadonlyMap<string, Health>>;
}
