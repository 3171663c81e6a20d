import { z } from 'zod';
import {
  done,
  leaseAnswer,
  leaseId,
  leaseRequest,
  leaseView,
  memberName,
  holdOrder,
  memberOrder,
  pauseOrder,
  nodeView,
  problemCodes,
  readyView,
  releaseAnswer,
  releaseRequest,
  statusView,
  syncAnswer,
  syncRequest,
  type LeaseView,
} from './api.js';
import { capabilityToken } from './authenticate.js';
import { poolQuery } from './class-api.js';
import { configRoutes } from './config-routes.js';
import { dashboardRoutes } from './dashboard-routes.js';
import { detailRoutes } from './detail-routes.js';
import { documentRoutes } from './document-routes.js';
import { HttpProblem } from './problem.js';
import { route, servedPool, valueOf, whoOf, type Call, type Ids, type Reply, type Route } from './route.js';
import { statusFor } from './status-for.js';
import { usageRoutes } from './usage-routes.js';
import { watchRoutes } from './watch-routes.js';

const waitQuery = z.strictObject({
  wait: z
    .string()
    .regex(/^[0-9]{1,6}(\.[0-9]{1,3})?$/, 'seconds, such as 30')
    .transform(Number)
    .prefault('0')
    .describe('Seconds for which the answer may be held back; the service has an upper limit of its own.'),
  until: z
    .enum(['granted', 'ready'])
    .default('granted')
    .describe(
      '`granted`: there is a VM; `ready`: everything is staged on it. Both also end when the lease has ended.',
    ),
});
type WaitQuery = z.infer<typeof waitQuery>;

const unknownLease = (): HttpProblem =>
  new HttpProblem(problemCodes.notFound, 'No such lease or request, or it is not yours.');

/** The lease if the caller may know of it. Another's lease and an unknown one look the same. */
const visibleLease = ({ service, identity, params }: Call<unknown, unknown>): LeaseView => {
  const view = service.lease(params['id'] ?? '');
  if (view === null) throw unknownLease();
  if (identity?.role === 'worker' && view.worker !== identity.worker) throw unknownLease();
  if (identity?.role === 'capability' && view.id !== identity.lease) throw unknownLease();
  return view;
};

const idsOf = ({ id, job, vm }: LeaseView): Ids => ({
  lease: id,
  job,
  ...(vm === null ? {} : { vm: vm.member }),
});

/** The view at the end of the wait that the call asks for. `fresh`: the request itself has just been made or repeated. */
const afterWaiting = async (
  call: Call<unknown, WaitQuery>,
  view: LeaseView,
  fresh: boolean,
): Promise<LeaseView> => {
  const { wait, until } = call.query;
  const ms = Math.min(wait * 1000, call.maxWaitMs);
  const met = view.state === 'ended' || (until === 'ready' ? view.ready : view.state === 'granted');
  const role = call.identity?.role;
  const asOwner = role === 'worker' || role === 'capability';
  // Also a look without a wait shows that the job's side still wants what it has asked for.
  call.about(idsOf(view));
  if (met || (ms <= 0 && (fresh || !asOwner))) return view;
  const later = await call.service.waitFor(view.id, until, ms, call.signal(), asOwner);
  if (later === null) throw unknownLease();
  call.about(idsOf(later));
  return later;
};

/** The worker's name comes from its token, never from what it says. */
const workerOf = ({ identity }: Call<unknown, unknown>): string => {
  if (identity?.role === 'worker') return identity.worker;
  throw new HttpProblem(problemCodes.forbidden, 'Only a worker can do this.');
};

const ok = (body: unknown): Reply => ({ status: 200, body });

const leaseStatus = { waiting: 202, granted: 201, ended: 200 } as const;

const memberRoute = (order: 'unhold' | 'drain' | 'retire' | 'kill', summary: string): Route =>
  route({
    method: 'POST',
    path: `/v1/members/:name/${order}`,
    roles: ['operator'],
    summary,
    params: { name: memberName },
    refusals: ['not-found', 'conflict'],
    body: memberOrder,
    answers: { 200: done },
    handle: async (call) => {
      const { service, body } = call;
      const [name = '', by] = [call.params['name'], whoOf(call)];
      return ok(
        valueOf(
          order === 'unhold' ? await service.unhold(name, by) : await service[order](name, body.reason, by),
        ),
      );
    },
  });

/** The whole API, version 1. */
export const routes: readonly Route[] = [
  route({
    method: 'POST',
    path: '/v1/leases',
    roles: ['worker'],
    ownOnly: ['worker'],
    summary: 'Asks for a VM for one attempt of a job. Idempotent by worker, job and attempt.',
    body: leaseRequest,
    refusals: ['stale-attempt', 'rival-attempt', 'unsatisfiable', 'no-class-fits', 'not-found'],
    query: waitQuery,
    answers: { 200: leaseAnswer, 201: leaseAnswer, 202: leaseAnswer },
    handle: async (call) => {
      const asked = valueOf(await call.service.request(workerOf(call), call.body));
      const view = await afterWaiting(call, asked, true);
      return {
        status: leaseStatus[view.state],
        headers: { Location: `/v1/leases/${view.id}` },
        body: { ...view, capability: capabilityToken(view.id, call.service.capability(view.id)) },
      };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/leases/:id',
    roles: ['worker', 'capability', 'operator', 'viewer'],
    ownOnly: ['worker', 'capability'],
    summary: 'The lease or request; with `wait`, once it is granted or ready.',
    params: { id: leaseId },
    query: waitQuery,
    refusals: ['not-found'],
    answers: { 200: leaseView },
    handle: async (call) => ok(await afterWaiting(call, visibleLease(call), false)),
  }),
  route({
    method: 'DELETE',
    path: '/v1/leases/:id',
    roles: ['worker', 'capability', 'operator'],
    ownOnly: ['worker', 'capability'],
    summary: 'Ends the lease or request. Idempotent.',
    params: { id: leaseId },
    refusals: ['not-found'],
    answers: { 200: releaseAnswer },
    handle: async (call) => {
      const view = visibleLease(call);
      const { id } = view;
      call.about(idsOf(view));
      const who = call.identity?.role === 'capability' ? "the job's side" : whoOf(call);
      return ok(valueOf(await call.service.releaseById(id, `released by ${who}`)));
    },
  }),
  route({
    method: 'POST',
    path: '/v1/releases',
    roles: ['worker'],
    ownOnly: ['worker'],
    summary: "Ends what a job of this worker holds, whether or not the lease's id is known. Idempotent.",
    body: releaseRequest,
    answers: { 200: releaseAnswer },
    handle: async (call) => ok(valueOf(await call.service.release(workerOf(call), call.body))),
  }),
  route({
    method: 'POST',
    path: '/v1/sync',
    roles: ['worker'],
    ownOnly: ['worker'],
    summary: 'Tells which jobs live on the worker; leases of others end after two such listings.',
    body: syncRequest,
    // 100,000 jobs with ids of 80 characters; a worker of a large site has some thousand.
    bodyBytes: 8 * 1024 * 1024,
    answers: { 200: syncAnswer },
    handle: async (call) => ok(valueOf(await call.service.sync(workerOf(call), call.body))),
  }),
  route({
    method: 'GET',
    path: '/v1/node',
    roles: ['worker'],
    ownOnly: ['worker'],
    summary: 'May Torque send jobs to this worker?',
    answers: { 200: nodeView },
    handle: (call) => ok(call.service.node(workerOf(call))),
  }),
  route({
    method: 'GET',
    path: '/v1/status',
    roles: ['worker', 'operator', 'viewer'],
    ownOnly: ['worker'],
    summary: 'The whole pool; a worker sees only its own requests, leases and jobs.',
    query: poolQuery,
    refusals: ['not-found'],
    answers: { 200: statusView },
    handle: (call) => {
      const { identity } = call;
      if (identity === null) throw new HttpProblem(problemCodes.unauthorised, 'A token is needed.');
      return ok(statusFor(servedPool(call).status(), identity));
    },
  }),
  route({
    method: 'POST',
    path: '/v1/members/:name/hold',
    roles: ['operator'],
    summary: 'Takes a VM out of use and keeps it as it is: now, or when its job has ended.',
    params: { name: memberName },
    refusals: ['not-found', 'conflict'],
    body: holdOrder,
    answers: { 200: done },
    handle: async (call) => {
      const { reason, forSeconds } = call.body;
      const limitMs = forSeconds === undefined ? null : forSeconds * 1000;
      return ok(valueOf(await call.service.hold(call.params['name'] ?? '', reason, limitMs, whoOf(call))));
    },
  }),
  memberRoute(
    'drain',
    'Keeps further jobs from a VM: it is cleaned after the job that runs there, and held.',
  ),
  memberRoute('unhold', 'Gives a held or drained VM back to the pool.'),
  memberRoute('retire', 'Ends a VM once it is Free.'),
  memberRoute('kill', 'Ends a VM now, and the job on it with it.'),
  route({
    method: 'POST',
    path: '/v1/pool/pause',
    roles: ['operator'],
    summary:
      'Nothing is made, ended or updated in the cloud for a time; jobs go on and are served by what there is.',
    refusals: ['conflict', 'not-found'],
    body: pauseOrder,
    query: poolQuery,
    answers: { 200: done },
    handle: async (call) => {
      const { reason, forSeconds } = call.body;
      return ok(valueOf(await servedPool(call).pause(reason, forSeconds * 1000, whoOf(call))));
    },
  }),
  route({
    method: 'POST',
    path: '/v1/pool/resume',
    roles: ['operator'],
    summary: 'Ends a pause.',
    refusals: ['conflict', 'not-found'],
    query: poolQuery,
    answers: { 200: done },
    handle: async (call) => ok(valueOf(await servedPool(call).resume(whoOf(call)))),
  }),
  route({
    method: 'POST',
    path: '/v1/pool/adopt',
    roles: ['operator'],
    summary: "Reads the pool stack's outputs now.",
    refusals: ['conflict', 'not-found'],
    query: poolQuery,
    answers: { 200: done },
    handle: async (call) => ok(valueOf(await servedPool(call).adopt())),
  }),
  route({
    method: 'GET',
    path: '/metrics',
    roles: ['operator', 'viewer'],
    summary: "The pool's figures in Prometheus' text format.",
    produces: 'text/plain; version=0.0.4; charset=utf-8',
    answers: { 200: z.string() },
    handle: async ({ metrics }) => ok(await metrics()),
  }),
  route({
    method: 'GET',
    path: '/healthz',
    roles: [],
    summary: 'The process answers.',
    answers: { 200: z.object({ live: z.literal(true) }) },
    handle: () => ok({ live: true }),
  }),
  route({
    method: 'GET',
    path: '/readyz',
    roles: [],
    summary: 'The service takes requests: 200, else 503.',
    answers: { 200: readyView, 503: readyView },
    handle: ({ notReady }) => {
      const why = notReady();
      return { status: why === null ? 200 : 503, body: { ready: why === null, detail: why ?? 'ready' } };
    },
  }),
  ...configRoutes,
  ...detailRoutes,
  ...usageRoutes,
  ...watchRoutes,
  ...dashboardRoutes,
  ...documentRoutes(() => routes),
];
