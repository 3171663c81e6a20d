#!/usr/bin/env node
import { createClient } from '../http/client.js';
import { confirmAtTerminal } from './commands/kill.js';
import { runCli } from './program.js';
import { processTerminal } from './terminal.js';

// A reader that has seen enough (`vmpool status | head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

process.exitCode = await runCli(process.argv.slice(2), {
  terminal: processTerminal(),
  env: process.env,
  connect: createClient,
  confirm: confirmAtTerminal,
  // Nothing but the end of the process stops what goes on and on: Ctrl-C, a closed pipe.
  stop: new AbortController().signal,
});
