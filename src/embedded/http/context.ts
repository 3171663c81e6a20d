import type { Request } from 'express';
import type { z } from 'zod';
import type { JournalEntry } from '../journal.js';
import type { Token } from '../identity/identity.js';
import { ApiError, badRequest } from './errors.js';

/** What is known of a request besides its own content. Kept beside it: Express's own place for this is untyped. */
interface RequestContext {
  token?: Token;
  /** Nova's microversion as a number: 2.37 is 237. */
  microversion?: number;
  /** `REGION/INTERFACE` of the catalog's address that was called. */
  door?: string;
  entry?: JournalEntry;
}

const contexts = new WeakMap<object, RequestContext>();

/** The context of a request, empty until something is put in. */
export function contextOf(request: object): RequestContext {
  let context = contexts.get(request);
  if (!context) {
    context = {};
    contexts.set(request, context);
  }
  return context;
}

/** The caller's token; the authentication layer has put it there for every route but the public ones. */
export function tokenOf(request: object): Token {
  const token = contextOf(request).token;
  if (!token) throw new ApiError(401, 'The request you have made requires authentication.');
  return token;
}

/** The caller's project, as most calls need one. */
export function projectOf(request: object): string {
  const token = tokenOf(request);
  if (!token.project)
    throw new ApiError(403, "Policy doesn't allow this to be performed without a project scope.");
  return token.project.id;
}

/** A body checked against a schema; what is wrong is said as the services say it. */
export function bodyOf<Schema extends z.ZodType>(
  request: { body?: unknown },
  schema: Schema,
): z.output<Schema> {
  const parsed = schema.safeParse(request.body ?? {});
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw badRequest(
    `Invalid input for field/attribute ${issue?.path.join('.') ?? 'body'}. ${issue?.message ?? 'It is not valid'}`,
  );
}

/** A query parameter given once or more; the first counts. */
export function query(request: Pick<Request, 'query'>, name: string): string | undefined {
  const value = request.query[name];
  if (typeof value === 'string') return value;
  if (Array.isArray(value) && typeof value[0] === 'string') return value[0];
  return undefined;
}

/** All values of a query parameter. */
export function queryAll(request: Pick<Request, 'query'>, name: string): string[] {
  const value = request.query[name];
  const values: unknown[] = Array.isArray(value) ? value : value === undefined ? [] : [value];
  return values.filter((each): each is string => typeof each === 'string');
}
