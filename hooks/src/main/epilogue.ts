import { epilogue } from '../epilogue.js';
import { bootId } from '../processes.js';
import { report } from '../report.js';
import { parseEpilogueArguments } from '../torque/arguments.js';
import { configOrReport, endingContext } from './common.js';

process.stdout.on('error', () => undefined);
process.stderr.on('error', () => undefined);
// What ends an epilogue early only leaves more to the sync.
for (const signal of ['SIGHUP', 'SIGPIPE'] as const) process.on(signal, () => undefined);

async function main(): Promise<number> {
  const args = parseEpilogueArguments(process.argv.slice(2));
  const config = configOrReport('epilogue');
  if (config === null) return 1;
  if (!args.ok) {
    report('epilogue', args.why);
    return 1;
  }
  await epilogue(endingContext('epilogue', config, config.epilogueLimitMs), args.value, bootId());
  return 0;
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    report('epilogue', error instanceof Error ? (error.stack ?? error.message) : String(error));
    process.exit(1);
  },
);
