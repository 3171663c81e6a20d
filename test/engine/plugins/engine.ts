/** The installed engine, for tests: found where `make setup` put it, never on the network. */
import { locateEngine } from '../../../scripts/engine/locate.mjs';

/** The `pulumi` command and an environment in which it finds its plugins and language host. */
export function engineEnvironment(extra: Readonly<Record<string, string>> = {}): {
  pulumi: string;
  env: Record<string, string>;
} {
  const { pulumi, binDir, pulumiHome } = locateEngine();
  return {
    pulumi,
    env: {
      PATH: `${binDir}:${process.env['PATH'] ?? '/usr/bin:/bin'}`,
      HOME: process.env['HOME'] ?? '/',
      PULUMI_HOME: pulumiHome,
      PULUMI_SKIP_UPDATE_CHECK: 'true',
      PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: 'true',
      ...extra,
    },
  };
}
