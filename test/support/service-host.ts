import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endProcess } from '../../src/engine/orphans.js';
import { hostScript } from '../../stacks/services/host-script.js';
import type { HostPlan, ServiceInput, ServiceMember } from '../../stacks/services/plan.js';

export interface HostRun {
  readonly code: number | null;
  readonly words: string;
}

/** A directory that stands for a service's host: the host script runs here as it would there. */
export class ServiceHostDirectory {
  readonly path = mkdtempSync(join(tmpdir(), 'vmpool-service-host-'));
  readonly stateDir = join(this.path, 'state');

  file(name: string): string {
    return join(this.path, name);
  }

  script(plan: HostPlan, place = 'here', id = 'batch-svc-test'): string {
    return hostScript(plan, { id, stateDir: this.stateDir, place });
  }

  /** Runs it to its end, or kills it (the whole group) when `killWhen` resolves. */
  run(mode: 'apply' | 'remove', script: string, killWhen?: Promise<void>): Promise<HostRun> {
    return new Promise((resolve, reject) => {
      const child = spawn('sh', ['-s', mode], { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
      let words = '';
      child.stdout.on('data', (text: Buffer) => (words += text.toString()));
      child.stderr.on('data', (text: Buffer) => (words += text.toString()));
      child.on('error', reject);
      child.on('close', (code) => resolve({ code, words }));
      child.stdin.on('error', () => undefined);
      child.stdin.end(script);
      void killWhen?.then(() => {
        if (child.exitCode === null && child.pid !== undefined) endProcess(-child.pid, 'SIGKILL');
      });
    });
  }

  close(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** In the place of a reload: ends the whole run on the host where the files are in place and the daemon does not know. */
export const cutOff = 'kill -9 $(ps -o ppid= -p $PPID) $PPID $$';

export const serviceMember = (n: number, changes: Partial<ServiceMember> = {}): ServiceMember => ({
  name: `batch-${String(n)}-abcd`,
  serverId: `5e55a3c0-0000-4000-8000-${String(n).padStart(12, '0')}`,
  addresses: [`127.0.0.${String(n + 1)}`],
  flavor: 'm1.large',
  image: 'worker-2026-11',
  cell: 'c001',
  bornAt: '2026-11-25T10:00:00.000Z',
  generation: '0123456789ab',
  ...changes,
});

export const serviceInput = (count: number, changes: Partial<ServiceInput> = {}): ServiceInput => ({
  pool: 'batch',
  members: Array.from({ length: count }, (_, n) => serviceMember(n + 1)),
  slots: {},
  ...changes,
});
