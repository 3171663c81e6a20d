export function whyNoOpenStackLab(file?: string): string | null;
