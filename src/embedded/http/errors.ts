import type { Response } from 'express';

export type ServiceName = 'identity' | 'compute' | 'network' | 'image' | 'volume';

/** An answer that is an error, rendered in the form of the service it comes from. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    /** Neutron's exception name; other services do not show it. */
    readonly type: string = 'HTTPError',
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
  }
}

export function notFound(message: string, type?: string): ApiError {
  return new ApiError(404, message, type);
}

export function badRequest(message: string, type?: string): ApiError {
  return new ApiError(400, message, type);
}

export function conflict(message: string, type?: string): ApiError {
  return new ApiError(409, message, type);
}

const NOVA_FAULTS: Readonly<Record<number, string>> = {
  400: 'badRequest',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'itemNotFound',
  405: 'badMethod',
  409: 'conflictingRequest',
  413: 'overLimit',
  415: 'badMediaType',
  429: 'overLimit',
  501: 'notImplemented',
  503: 'serviceUnavailable',
};

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  409: 'Conflict',
  413: 'Request Entity Too Large',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
};

/** Writes `error` as the named service would. */
export function sendError(response: Response, service: ServiceName, error: ApiError): void {
  const title = TITLES[error.status] ?? 'Error';
  response.status(error.status).set(error.headers);
  if (error.status === 401 && service !== 'identity') {
    // The authentication middleware answers before the service does, in Keystone's form.
    response.json({ error: { code: 401, title, message: error.message } });
    return;
  }
  switch (service) {
    case 'identity':
      response.json({ error: { code: error.status, message: error.message, title } });
      return;
    case 'compute':
    case 'volume':
      response.json({
        [NOVA_FAULTS[error.status] ?? 'computeFault']: { code: error.status, message: error.message },
      });
      return;
    case 'network':
      response.json({ NeutronError: { type: error.type, message: error.message, detail: '' } });
      return;
    case 'image':
      response
        .type('html')
        .send(
          `<html>\n <head>\n  <title>${error.status} ${title}</title>\n </head>\n <body>\n  <h1>${error.status} ${title}</h1>\n  ${error.message}<br /><br />\n\n\n </body>\n</html>`,
        );
      return;
  }
}
