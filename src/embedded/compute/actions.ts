import { z } from 'zod';
import { drawFrom } from '../options.js';
import { ApiError, badRequest, conflict } from '../http/errors.js';
import { imageOf } from './boot-volume.js';
import { newPassword, type Caller, type Compute } from './compute.js';
import { vmState, type Server, type ServerStatus } from './model.js';

/** The answer of an action: most have no body. */
export interface ActionAnswer {
  readonly status: number;
  readonly body?: object;
  readonly location?: string;
}

const ACCEPTED: ActionAnswer = { status: 202 };

type Handler = (
  compute: Compute,
  server: Server,
  argument: unknown,
  caller: Caller,
) => ActionAnswer | Promise<ActionAnswer>;

/** Refuses an action that the server's state does not allow, in Nova's words. */
function requireState(server: Server, action: string, allowed: readonly ServerStatus[]): void {
  if (server.locked) throw conflict(`Instance ${server.id} is locked`);
  if (!allowed.includes(server.status))
    throw conflict(`Cannot '${action}' instance ${server.id} while it is in vm_state ${vmState(server)}`);
  if (server.taskState !== null)
    throw conflict(`Cannot '${action}' instance ${server.id} while it is in task_state ${server.taskState}`);
}

function parse<Schema extends z.ZodType>(schema: Schema, argument: unknown): z.output<Schema> {
  const parsed = schema.safeParse(argument ?? {});
  if (!parsed.success)
    throw badRequest(`Invalid input for field/attribute ${parsed.error.issues[0]?.path.join('.') ?? ''}.`);
  return parsed.data;
}

interface Step {
  /** Name in requests and conflicts, and in the action log. */
  readonly action: string;
  readonly logged: string;
  readonly from: readonly ServerStatus[];
  readonly during: { readonly status?: ServerStatus; readonly task: string };
  readonly to: ServerStatus;
  readonly work: (compute: Compute, server: Server, current: () => boolean) => Promise<void>;
}

/** An action that takes a moment: a task state, work on the machine, and another status. */
function step(compute: Compute, server: Server, caller: Caller, order: Step): ActionAnswer {
  requireState(server, order.action, order.from);
  const finish = compute.log(server, order.logged, caller, `compute_${order.logged}_instance`);
  compute.cancelTimers(server);
  compute.change(server, order.during.status ?? server.status, order.during.task);
  compute.run(
    server,
    async (current) => {
      await order.work(compute, server, current);
      if (!current()) return;
      compute.change(server, order.to, null);
      finish();
    },
    finish,
  );
  return ACCEPTED;
}

const boot = (compute: Compute, server: Server): Promise<void> => {
  compute.bootMachine(server);
  return Promise.resolve();
};
const halt = async (_compute: Compute, server: Server): Promise<void> => server.machine?.stop('refuse');

/** A server that was paused before its guest had booted boots now. */
const goOn = async (compute: Compute, server: Server): Promise<void> => {
  await server.machine?.thaw();
  if (server.machine?.initPid === undefined) compute.bootMachine(server);
};

const rebuildSchema = z.looseObject({
  imageRef: z.string(),
  name: z.string().optional(),
  metadata: z.record(z.string(), z.string()).optional(),
  user_data: z.string().nullish(),
});

const HANDLERS: Readonly<Record<string, Handler>> = {
  'os-start': (compute, server, _argument, caller) =>
    step(compute, server, caller, {
      action: 'start',
      logged: 'start',
      from: ['SHUTOFF'],
      during: { task: 'powering-on' },
      to: 'ACTIVE',
      work: boot,
    }),
  'os-stop': (compute, server, _argument, caller) =>
    step(compute, server, caller, {
      action: 'stop',
      logged: 'stop',
      from: ['ACTIVE', 'ERROR', 'RESCUE'],
      during: { task: 'powering-off' },
      to: 'SHUTOFF',
      work: halt,
    }),
  reboot: (compute, server, argument, caller) => {
    const hard =
      parse(
        z.looseObject({ type: z.enum(['SOFT', 'HARD', 'soft', 'hard']) }),
        argument,
      ).type.toUpperCase() === 'HARD';
    const from: ServerStatus[] = hard ? ['ACTIVE', 'SHUTOFF', 'ERROR', 'PAUSED', 'SUSPENDED'] : ['ACTIVE'];
    return step(compute, server, caller, {
      action: 'reboot',
      logged: 'reboot',
      from,
      during: {
        status: hard ? 'HARD_REBOOT' : 'REBOOT',
        task: hard ? 'reboot_started_hard' : 'reboot_started',
      },
      to: 'ACTIVE',
      work: async () => {
        await server.machine?.stop('refuse');
        compute.bootMachine(server);
      },
    });
  },
  rebuild: (compute, server, argument, caller) => {
    const wanted = parse(rebuildSchema, argument);
    const image = compute.parts.images.find(wanted.imageRef);
    if (!image) throw badRequest('Cannot find image for rebuild');
    if (image.status !== 'active')
      throw badRequest(`Image ${image.id} is unacceptable: Image is not active.`);
    // Before microversion 2.93, which is not spoken here, a rebuild leaves a boot volume as it is.
    const volumeBacked = server.imageId === null;
    if (volumeBacked && imageOf(compute, server) !== image.id)
      throw badRequest('Unable to rebuild with a different image for a volume-backed server.');
    const answer = step(compute, server, caller, {
      action: 'rebuild',
      logged: 'rebuild',
      from: ['ACTIVE', 'SHUTOFF', 'ERROR'],
      during: { status: 'REBUILD', task: 'rebuilding' },
      to: 'ACTIVE',
      work: async (_compute, _server, current) => {
        if (volumeBacked) await server.machine?.stop('refuse');
        else await compute.replaceMachine(server, current);
        if (current()) compute.bootMachine(server);
      },
    });
    if (!volumeBacked) server.imageId = image.id;
    server.fault = undefined;
    if (wanted.name !== undefined) server.name = wanted.name;
    if (wanted.metadata !== undefined) server.metadata = wanted.metadata;
    if (wanted.user_data !== undefined) server.userData = wanted.user_data ?? undefined;
    return { ...answer, body: { adminPass: newPassword(), rebuilt: true } };
  },
  resize: (compute, server, argument, caller) => {
    const { flavorRef } = parse(z.looseObject({ flavorRef: z.coerce.string() }), argument);
    const flavor = compute.flavor(flavorRef);
    if (!flavor) throw badRequest('Unable to locate requested flavor.');
    if (flavor.id === server.flavor.id) throw badRequest('When resizing, instances must change flavor!');
    requireState(server, 'resize', ['ACTIVE', 'SHUTOFF']);
    const finish = compute.log(server, 'resize', caller, 'compute_prep_resize');
    compute.change(server, 'RESIZE', 'resize_prep');
    compute.later(server, drawFrom(compute.parts.timing().buildMs, compute.parts.random) / 2, () => {
      server.formerFlavor = server.flavor;
      server.flavor = flavor;
      compute.run(
        server,
        async (current) => {
          await server.machine?.stop('refuse');
          if (!current()) return;
          compute.bootMachine(server);
          compute.change(server, 'VERIFY_RESIZE', null);
          finish();
        },
        finish,
      );
    });
    return ACCEPTED;
  },
  confirmResize: (compute, server, _argument, caller) => {
    requireState(server, 'confirmResize', ['VERIFY_RESIZE']);
    compute.log(server, 'confirmResize', caller, 'compute_confirm_resize')();
    server.formerFlavor = undefined;
    compute.change(server, 'ACTIVE', null);
    return { status: 204 };
  },
  revertResize: (compute, server, _argument, caller) => {
    requireState(server, 'revertResize', ['VERIFY_RESIZE']);
    compute.log(server, 'revertResize', caller, 'compute_revert_resize')();
    server.flavor = server.formerFlavor ?? server.flavor;
    server.formerFlavor = undefined;
    compute.change(server, 'ACTIVE', null);
    return ACCEPTED;
  },
  pause: (compute, server, _argument, caller) =>
    step(compute, server, caller, {
      action: 'pause',
      logged: 'pause',
      from: ['ACTIVE'],
      during: { task: 'pausing' },
      to: 'PAUSED',
      work: async () => server.machine?.freeze(),
    }),
  unpause: (compute, server, _argument, caller) =>
    step(compute, server, caller, {
      action: 'unpause',
      logged: 'unpause',
      from: ['PAUSED'],
      during: { task: 'unpausing' },
      to: 'ACTIVE',
      work: () => goOn(compute, server),
    }),
  suspend: (compute, server, _argument, caller) =>
    step(compute, server, caller, {
      action: 'suspend',
      logged: 'suspend',
      from: ['ACTIVE'],
      during: { task: 'suspending' },
      to: 'SUSPENDED',
      work: async () => server.machine?.freeze(),
    }),
  resume: (compute, server, _argument, caller) =>
    step(compute, server, caller, {
      action: 'resume',
      logged: 'resume',
      from: ['SUSPENDED'],
      during: { task: 'resuming' },
      to: 'ACTIVE',
      work: () => goOn(compute, server),
    }),
  rescue: (compute, server, _argument, caller) => ({
    ...step(compute, server, caller, {
      action: 'rescue',
      logged: 'rescue',
      from: ['ACTIVE', 'SHUTOFF', 'ERROR'],
      during: { task: 'rescuing' },
      to: 'RESCUE',
      work: halt,
    }),
    status: 200,
    body: { adminPass: newPassword() },
  }),
  unrescue: (compute, server, _argument, caller) =>
    step(compute, server, caller, {
      action: 'unrescue',
      logged: 'unrescue',
      from: ['RESCUE'],
      during: { task: 'unrescuing' },
      to: 'ACTIVE',
      work: boot,
    }),
  shelve: (compute, server, _argument, caller) =>
    step(compute, server, caller, {
      action: 'shelve',
      logged: 'shelve',
      from: ['ACTIVE', 'SHUTOFF', 'PAUSED', 'SUSPENDED'],
      during: { task: 'shelving' },
      to: 'SHELVED_OFFLOADED',
      work: halt,
    }),
  unshelve: (compute, server, _argument, caller) =>
    step(compute, server, caller, {
      action: 'unshelve',
      logged: 'unshelve',
      from: ['SHELVED_OFFLOADED'],
      during: { task: 'unshelving' },
      to: 'ACTIVE',
      work: boot,
    }),
  lock: (compute, server, argument, caller) => {
    server.locked = true;
    server.lockedReason =
      parse(z.looseObject({ locked_reason: z.string().optional() }), argument).locked_reason ?? null;
    compute.log(server, 'lock', caller, 'api_lock')();
    return ACCEPTED;
  },
  unlock: (compute, server, _argument, caller) => {
    server.locked = false;
    server.lockedReason = null;
    compute.log(server, 'unlock', caller, 'api_unlock')();
    return ACCEPTED;
  },
  'os-resetState': (compute, server, argument, caller) => {
    const { state } = parse(
      z.looseObject({ os_resetState: z.unknown(), state: z.enum(['active', 'error']) }),
      argument,
    );
    compute.log(server, 'resetState', caller, 'api_reset_state')();
    compute.change(server, state === 'active' ? 'ACTIVE' : 'ERROR', null);
    return ACCEPTED;
  },
  forceDelete: (compute, server, _argument, caller) => {
    compute.delete(server, caller);
    return ACCEPTED;
  },
  'os-getConsoleOutput': async (_compute, server, argument) => {
    const { length } = parse(z.looseObject({ length: z.coerce.number().int().nullish() }), argument);
    if (!server.machine) throw conflict(`Instance ${server.id} is not ready`);
    const text = await server.machine.console();
    const lines = text.split('\n');
    const output = length == null || length < 0 ? text : lines.slice(-(length + 1)).join('\n');
    return { status: 200, body: { output } };
  },
  addSecurityGroup: (compute, server, argument) => changeGroups(compute, server, argument, true),
  removeSecurityGroup: (compute, server, argument) => changeGroups(compute, server, argument, false),
};

function changeGroups(compute: Compute, server: Server, argument: unknown, add: boolean): ActionAnswer {
  const { name } = parse(z.looseObject({ name: z.string() }), argument);
  const group = compute.parts.network.findGroup(name, server.projectId);
  if (!group) throw new ApiError(404, `Security group ${name} not found for project ${server.projectId}.`);
  for (const port of compute.parts.network.portsOf(server.id)) {
    const others = port.securityGroups.filter((id) => id !== group.id);
    if (!add && others.length === port.securityGroups.length)
      throw new ApiError(404, `Security group ${name} not associated with the instance ${server.id}`);
    port.securityGroups = add ? [...others, group.id] : others;
  }
  const others = server.securityGroups.filter((id) => id !== group.id);
  server.securityGroups = add ? [...others, group.id] : others;
  return ACCEPTED;
}

/** Carries out the one action that the body names. */
export async function actOn(
  compute: Compute,
  server: Server,
  body: Readonly<Record<string, unknown>>,
  caller: Caller,
): Promise<ActionAnswer> {
  const names = Object.keys(body);
  const name = names[0];
  if (name === undefined || names.length !== 1)
    throw badRequest('There is no such action or more than one action was given.');
  const handler = HANDLERS[name];
  if (!handler) throw badRequest(`There is no such action: ${name}`);
  return handler(compute, server, body[name], caller);
}
