/**
 * Stands in everything of a job that must stay between its worker, the book and its VM. No simulated secret is ever
 * printed for real, so that a plain word will do: it must turn up in no log, history, metadata or stack.
 */
const canary = 'canary-of-a-job';

export function secretOf(lease: string): string {
  return `ssh-ed25519 ${canary}-${lease}`;
}

export function holdsSecret(data: unknown): boolean {
  return JSON.stringify(data).includes(canary);
}
