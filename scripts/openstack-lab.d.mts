export function whyNoOpenStackLab(file?: string, architecture?: string): string | null;
