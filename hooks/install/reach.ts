import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { InstallFinding } from '../install.js';
import { defaultConfigPath, parseWorkerConfig } from '../src/config.js';
import { ServiceClient } from '../src/service-client.js';

/** Asks the service that an installed worker is set up for, as its node check does. Waits 3 s at most. */
export async function checkService(root = '/'): Promise<InstallFinding> {
  const error = (text: string): InstallFinding => ({ level: 'error', text });
  try {
    const parsed = parseWorkerConfig(readFileSync(join(root, defaultConfigPath), 'utf8'));
    if (!parsed.ok) return error(`${defaultConfigPath}: ${parsed.errors.join('; ')}`);
    const { url, caFile, tokenFile } = parsed.config.service;
    const token = readFileSync(join(root, tokenFile), 'utf8').trim();
    const ca = caFile === null ? null : join(root, caFile);
    const answer = await new ServiceClient(url, ca, token).node(3000);
    switch (answer.kind) {
      case 'done':
        return answer.value.ok
          ? { level: 'done', text: `${url} answers this worker` }
          : { level: 'warning', text: `${url} answers, and would take no job now: ${answer.value.detail}` };
      case 'problem':
        return error(
          `${url} refuses this worker (${answer.code}): ${answer.detail}; is the token in ${tokenFile} the one in the service's configuration?`,
        );
      case 'unreachable':
        return error(
          `the service cannot be reached: ${answer.why}; check service.url, service.caFile and the firewall`,
        );
    }
  } catch (cause) {
    return error(`the service cannot be asked: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}
