import { report } from '../report.js';
import { sync } from '../sync.js';
import { configOrReport, endingContext } from './common.js';

async function main(): Promise<number> {
  const config = configOrReport('sync');
  if (config === null) return 1;
  return (await sync(endingContext('sync', config, config.epilogueLimitMs))) ? 0 : 1;
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    report('sync', error instanceof Error ? (error.stack ?? error.message) : String(error));
    process.exit(1);
  },
);
