/** An installed Pulumi engine. */
export interface LocatedEngine {
  /** Path of the `pulumi` command. */
  readonly pulumi: string;
  /** Folder with `pulumi` and its language host; to be put first on PATH. */
  readonly binDir: string;
  /** PULUMI_HOME in which the engine finds the plugins. */
  readonly pulumiHome: string;
  /** How its last part was obtained: all found on PATH, all in the cache, or something downloaded or built. */
  readonly source: 'path' | 'cache' | 'download' | 'build';
  readonly versions: {
    readonly cli: string;
    readonly 'language-nodejs': string;
    readonly openstack: string;
    readonly command: string;
  };
}

/** Path of the pointer file that every install rewrites. */
export function pointerFile(env?: NodeJS.ProcessEnv): string;

/** Finds the installed engine; throws an Error that says to run `make setup` when there is none. */
export function locateEngine(env?: NodeJS.ProcessEnv): LocatedEngine;
