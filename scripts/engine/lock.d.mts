export function takeLock(
  file: string,
  options: {
    readonly waitMs: number;
    readonly say: (text: string) => void;
    readonly pollMs?: number;
    readonly what?: string;
    readonly signal?: AbortSignal;
  },
): Promise<() => void>;
