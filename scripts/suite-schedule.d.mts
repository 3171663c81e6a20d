export interface ScheduledTask {
  readonly name: string;
  readonly slots: number;
  readonly run: (narrow: (slots: number) => void) => Promise<void>;
}
export function runScheduled(
  tasks: readonly ScheduledTask[],
  options: {
    readonly capacity: number;
    readonly alone: (ended: readonly string[]) => Promise<void>;
    readonly stopped: () => boolean;
  },
): Promise<void>;
export function namedLines(
  name: string,
  write: (text: string) => void,
): { chunk(data: Buffer | string): void; end(): void };
