export interface OwnedProcess {
  readonly what: string;
  readonly pid: number | undefined;
  readonly ended: string | null;
  line<T>(found: (line: string) => T | null | undefined, limitMs?: number): Promise<T>;
  signal(name: NodeJS.Signals): void;
  done(limitMs: number): Promise<void>;
  stop(limitMs?: number): Promise<void>;
}
export interface Owner {
  defer(what: string, undo: () => unknown, limitMs?: number): void;
  directory(): string;
  process(
    what: string,
    command: string,
    args: readonly (string | number)[],
    options?: {
      readonly env?: Readonly<Record<string, string | undefined>>;
      readonly cwd?: string;
      readonly stderr?: 'inherit' | 'ignore';
    },
  ): OwnedProcess;
  close(): Promise<void>;
}
export function isInterrupted(): boolean;
export function owned<T>(work: (owner: Owner) => Promise<T>): Promise<T>;
