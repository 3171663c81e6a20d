import type { ServerResponse } from 'node:http';
import { problemCodes, type Problem, type ProblemCode } from './api.js';

/** Status and title of each kind of problem. */
export const problemKinds: Readonly<
  Record<ProblemCode, { readonly status: number; readonly title: string }>
> = {
  'stale-attempt': { status: 409, title: 'A newer attempt of this job exists, or this one has ended' },
  'rival-attempt': {
    status: 409,
    title: 'Another attempt of this job still holds a VM or a place in the line',
  },
  unsatisfiable: { status: 422, title: 'This pool can never meet the request' },
  'no-class-fits': { status: 422, title: 'No class of VMs fits the request' },
  'not-found': { status: 404, title: 'Not found' },
  forbidden: { status: 403, title: 'Not allowed with this token' },
  unauthorised: { status: 401, title: 'A valid token is needed' },
  'invalid-input': { status: 400, title: 'The request is not valid' },
  'inconsistent-input': { status: 422, title: 'The values of the request make no sense together' },
  'body-too-large': { status: 413, title: 'The body is too large' },
  'too-many-requests': { status: 429, title: 'Too many failed authentications' },
  unavailable: { status: 503, title: 'Not available at the moment' },
  conflict: { status: 409, title: 'Not possible in the present state' },
  'method-not-allowed': { status: 405, title: 'This method is not known here' },
  'unsupported-media-type': { status: 415, title: 'The body must be JSON' },
  'internal-error': { status: 500, title: 'An error in the service' },
};

/** Thrown on the way through a route, answered as a problem document (RFC 9457). */
export class HttpProblem extends Error {
  constructor(
    readonly code: ProblemCode,
    detail: string,
    readonly more: {
      readonly errors?: readonly { readonly path: string; readonly message: string }[];
      readonly headers?: Readonly<Record<string, string>>;
    } = {},
  ) {
    super(detail);
    this.name = 'HttpProblem';
  }

  get status(): number {
    return problemKinds[this.code].status;
  }

  document(instance: string): Problem {
    const { errors } = this.more;
    return {
      type: `urn:vmpool:problem:${this.code}`,
      title: problemKinds[this.code].title,
      status: this.status,
      detail: this.message,
      instance,
      ...(errors === undefined ? {} : { errors: [...errors] }),
    };
  }
}

export const sendProblem = (response: ServerResponse, problem: HttpProblem, requestId: string): void => {
  response.statusCode = problem.status;
  for (const [name, value] of Object.entries(problem.more.headers ?? {})) response.setHeader(name, value);
  response.setHeader('Content-Type', 'application/problem+json');
  response.end(JSON.stringify(problem.document(`urn:uuid:${requestId}`)));
};

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

/** What any error means to the caller: those of the body's parser by their type, unknown ones say nothing. */
export const problemOf = (error: unknown): HttpProblem => {
  if (error instanceof HttpProblem) return error;
  const fields = typeof error === 'object' && error !== null ? error : {};
  const type = 'type' in fields ? textOf(fields.type) : '';
  if (type === 'entity.too.large') {
    return new HttpProblem(problemCodes.tooLarge, 'The body is larger than this service takes.', {
      headers: { Connection: 'close' },
    });
  }
  if (type === 'encoding.unsupported' || type === 'charset.unsupported') {
    return new HttpProblem(problemCodes.unsupportedMediaType, 'Send JSON in UTF-8, not compressed.');
  }
  if (type === 'entity.parse.failed') {
    // The parser's message quotes the body, which may hold anything: it is not passed on.
    return new HttpProblem(problemCodes.invalid, 'The body is not valid JSON (an object or an array).');
  }
  if (type.startsWith('request.') || error instanceof URIError || statusOf(fields) === 400) {
    return new HttpProblem(problemCodes.invalid, 'The request is not well-formed.');
  }
  if ('name' in fields && fields.name === 'StoreError') {
    return new HttpProblem(
      problemCodes.unavailable,
      'The service cannot save its state at the moment; nothing was answered for. Try again.',
      { headers: { 'Retry-After': '5' } },
    );
  }
  return new HttpProblem(problemCodes.internal, 'The service failed to answer; its log has the details.');
};

const statusOf = (fields: object): unknown => ('status' in fields ? fields.status : undefined);
