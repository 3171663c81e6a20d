import { readWorkerConfig } from '../config.js';
import { client } from './common.js';

/** The mom waits for it, with everything else that it does. */
const limitMs = 3000;

/** What is wrong, or null. Torque takes output that begins with ERROR for a node that is down. */
async function problem(): Promise<string | null> {
  const read = readWorkerConfig(process.env);
  if (!read.ok) return `${read.path}: ${read.errors.join('; ')}`;
  const answer = await client(read.config).node(limitMs);
  switch (answer.kind) {
    case 'done':
      return answer.value.ok ? null : answer.value.detail;
    case 'problem':
      return `the lease service refuses this worker (${answer.code}): ${answer.detail}`;
    case 'unreachable':
      return `cannot reach the lease ${answer.why}`;
  }
}

problem()
  .catch((error: unknown) => (error instanceof Error ? error.message : String(error)))
  .then((why) => {
    if (why !== null) process.stdout.write(`ERROR vmpool: ${why.replace(/\s+/g, ' ').slice(0, 400)}\n`);
    process.exitCode = 0;
  })
  .catch(() => undefined);
