import { automation } from '@pulumi/pulumi';
import { basename, dirname } from 'node:path';
import { z } from 'zod';
import { Backend, directoryOfBackend } from './backend.js';
import { Cells } from './cells.js';
import { markOf } from './environment.js';
import { closeExitMs, closeGraceMs } from './limits.js';
import { headOf, requestSchema, type EngineAnswer, type EngineRequest } from './messages.js';
import type { EngineOptions } from './options.js';
import { endOrphans, endProcess, markedProcesses } from './orphans.js';
import { PulumiCli } from './pulumi-command.js';
import { Runs } from './runs.js';
import { PoolStack } from './pool-stack.js';
import { Services } from './services.js';
import { StackFiles } from './stack-files.js';
import { Updater } from './updater.js';

/**
 * The engine process: an inline Pulumi program installs process-wide handlers for uncaught errors while it
 * runs, so that nothing else may live here. The service talks to it over the IPC channel of `fork`.
 */

interface Opened {
  readonly cells: Cells;
  readonly poolStack: PoolStack;
  readonly services: Services;
}

const open = async (options: EngineOptions): Promise<Opened> => {
  await endOrphans(markOf(options), options.orphanGraceMs);
  const files = new StackFiles(options.stateDir);
  files.prepare(options.repoRoot);
  const runs = new Runs(options.stateDir);
  const environment = Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
  const cli = new PulumiCli(options.pulumi.bin, environment, runs, directoryOfBackend(options.backendUrl));
  // The Automation API finds a CLI only as `<root>/bin/pulumi`, and refuses one that is too old for it.
  const directory = dirname(options.pulumi.bin);
  if (basename(options.pulumi.bin) !== 'pulumi' || basename(directory) !== 'bin') {
    throw new Error(`the path of the pulumi CLI must end in bin/pulumi, and is ${options.pulumi.bin}`);
  }
  const { version } = await automation.PulumiCommand.get({ root: dirname(directory) });
  const backend = new Backend(options.backendUrl, cli, runs, files.directory);
  const updater = new Updater(cli, version, files.directory, backend);
  return {
    cells: new Cells(options, backend, files, updater),
    poolStack: new PoolStack(options.pool, backend, files, updater),
    services: new Services(options.pool, backend, files, updater),
  };
};

const send = (answer: EngineAnswer): void => {
  if (process.connected) {
    process.send?.(answer);
  }
};

const running = new Map<number, { readonly controller: AbortController; readonly done: Promise<void> }>();
let configured: EngineOptions | null = null;
let notConfigured = 'the engine has not been configured';
let opened: Promise<Opened> | null = null;

/** Opens once; after a failure the next call tries again. */
const openOnce = async (options: EngineOptions): Promise<Opened> => {
  opened ??= open(options);
  try {
    return await opened;
  } catch (error) {
    opened = null;
    throw error;
  }
};

const serve = async (
  request: Exclude<EngineRequest, { type: 'configure' | 'abort' | 'close' }>,
  signal: AbortSignal,
): Promise<EngineAnswer> => {
  const { id } = request;
  if (configured === null) {
    return { type: 'failed', id, message: notConfigured };
  }
  try {
    const { cells, poolStack, services } = await openOnce(configured);
    switch (request.type) {
      case 'converge': {
        const emit = (event: Extract<EngineAnswer, { type: 'event' }>['event']): void =>
          send({ type: 'event', id, event });
        return { type: 'converged', id, result: await cells.converge(request.wish, emit, signal) };
      }
      case 'preview':
        return { type: 'previewed', id, result: await cells.preview(request.wish, signal) };
      case 'poolOutputs':
        return { type: 'outputs', id, outputs: await poolStack.outputs(signal) };
      case 'poolConfig': {
        const config = await poolStack.inForce(signal);
        return {
          type: 'poolConfig',
          id,
          config: config === null ? null : { ...config, config: { ...config.config }, encrypted: [...config.encrypted] },
        };
      }
      case 'updatePool':
        await poolStack.bringUp(request.wish, signal);
        return { type: 'published', id };
      case 'cells':
        return {
          type: 'cells',
          id,
          cells: (await cells.found(signal)).map(({ cell, instances }) => ({
            cell,
            instances: instances === null ? null : [...instances],
          })),
        };
      case 'publishSummary':
        await cells.publishSummary(request.members, signal);
        return { type: 'published', id };
      case 'updateService':
        await services.update(request.wish, signal);
        return { type: 'published', id };
      case 'removeService':
        await services.remove(request.service, signal);
        return { type: 'published', id };
      case 'listServices':
        return { type: 'services', id, services: [...services.list()] };
    }
  } catch (error) {
    return { type: 'failed', id, message: error instanceof Error ? error.message : String(error) };
  }
};

/** Asks what runs to stop, waits for it and ends. */
const end = async (): Promise<void> => {
  for (const { controller } of running.values()) {
    controller.abort(new Error('the service ended the engine'));
  }
  await Promise.allSettled([...running.values()].map(({ done }) => done));
  process.exit(0);
};

/** The service waits for this end, so it comes soon: creates that take longer than the grace are lost. */
const close = (): void => {
  setTimeout(() => {
    for (const { pid } of configured === null ? [] : markedProcesses(markOf(configured))) {
      endProcess(pid, 'SIGKILL');
    }
  }, closeGraceMs).unref();
  setTimeout(() => process.exit(1), closeExitMs).unref();
  void end();
};

const take = (message: unknown): void => {
  const parsed = requestSchema.safeParse(message);
  if (!parsed.success) {
    // One call that makes no sense is answered as failed; those under way go on.
    const { id, type } = headOf(message);
    const why = `the engine was asked for something that makes no sense: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`;
    if (type === 'configure') {
      notConfigured = why;
    }
    if (id !== null) {
      send({ type: 'failed', id, message: why });
    }
    return;
  }
  const request = parsed.data;
  switch (request.type) {
    case 'configure':
      configured = request.options;
      return;
    case 'abort':
      running.get(request.id)?.controller.abort(new Error('the update was aborted'));
      return;
    case 'close':
      close();
      return;
    case 'converge':
    case 'preview':
    case 'poolOutputs':
    case 'cells':
    case 'poolConfig':
    case 'updatePool':
    case 'publishSummary':
    case 'updateService':
    case 'removeService':
    case 'listServices': {
      const controller = new AbortController();
      const done = serve(request, controller.signal).then((answer) => {
        running.delete(request.id);
        send(answer);
      });
      running.set(request.id, { controller, done });
    }
  }
};

process.on('message', take);
process.on('disconnect', () => void end());
// Ctrl-C reaches the whole process group of the service: the service decides what ends and how.
process.on('SIGINT', () => undefined);
