export const runVariable: string;
export interface FoundProcess {
  readonly pid: number;
  readonly command: string;
}
export function textOf(path: string): string;
export function processesOf(runId: string, variable?: string): FoundProcess[];
export function endProcessesOf(runId: string, variable?: string): Promise<FoundProcess[]>;
export function runLimited(
  command: string,
  args: readonly string[],
  options: {
    readonly cwd: string;
    readonly env: Readonly<Record<string, string | undefined>>;
    readonly runId: string;
    readonly limitMs: number;
    readonly signal?: AbortSignal;
    readonly onOutput?: (chunk: Buffer) => void;
    readonly quietStdout?: boolean;
  },
): Promise<{ readonly code: number | null; readonly why: string | null }>;
