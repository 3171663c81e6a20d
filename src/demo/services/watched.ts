/** How a service of the site sees a VM. `unknown`: it has not looked yet, or not heard of it for long. */
export type Health = 'up' | 'down' | 'unknown';

export interface Seen {
  /** By the VM's name. */
  readonly hosts: ReadonlyMap<string, Health>;
  /** The pool's own figures, by their names in `poolFigures`; null where the daemon has none to show. */
  readonly figures: ReadonlyMap<string, number> | null;
}

/** A daemon of the site's whose hosts follow the pool, as a person sees it who looks at it. */
export interface Watched {
  readonly name: string;
  /** What the daemon itself shows now, not what its files say. */
  look(): Promise<Seen>;
  /** What a person wrote there beside what is ours is still in force. */
  keepsOthers(): Promise<boolean>;
}
