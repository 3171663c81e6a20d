export function sourcesStamp(root: string): string;
export function removeOrphans(root: string): string[];
export function forgetLostOutput(root: string): void;
