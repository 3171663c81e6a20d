#!/usr/bin/env node
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { startEmbeddedCloud } from './cloud.js';
import type { EmbeddedOptions } from './options.js';

const USAGE = 'usage: main.js --state DIR [--listen 127.0.0.1:PORT] [--options FILE.json]';

/** Runs the embedded cloud until SIGTERM or SIGINT. Prints one line of JSON on standard output when it is ready. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { state: { type: 'string' }, listen: { type: 'string' }, options: { type: 'string' } },
  });
  const fromFile =
    values.options === undefined
      ? {}
      : z.record(z.string(), z.unknown()).parse(JSON.parse(await readFile(values.options, 'utf8')));
  const state = values.state ?? fromFile['state'];
  if (typeof state !== 'string') throw new Error(USAGE);
  // What the file holds is checked by startEmbeddedCloud, key by key.
  const options: EmbeddedOptions = {
    ...fromFile,
    state,
    ...(values.listen !== undefined && { listen: values.listen }),
  };
  const cloud = await startEmbeddedCloud(options);
  const { authUrl, controlUrl, controlToken, env } = cloud;
  process.stdout.write(`${JSON.stringify({ authUrl, controlUrl, controlToken, env, pid: process.pid })}\n`);
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => {
      cloud.stop().then(
        () => process.exit(0),
        (error: unknown) => {
          process.stderr.write(`the embedded cloud did not stop cleanly: ${String(error)}\n`);
          process.exit(1);
        },
      );
    });
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
