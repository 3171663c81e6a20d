/** The folder of the cache in which the engine lies. */
export function engineCache(env?: NodeJS.ProcessEnv): string;
