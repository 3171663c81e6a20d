import { rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { makeOwned, readPlain, removeDrafts, writeDurably, type FileOwner } from './files.js';

/**
 * What the job's side is told, in `lease/lease.json`, readable by the job's user alone. Root writes it and never
 * reads it again: the user may change it, which harms nobody but their own job.
 */
export interface LeaseTicket {
  readonly version: 1;
  readonly service: { readonly url: string; readonly caFile: string | null };
  readonly lease: string;
  readonly capability: string;
  readonly job: string;
  readonly start: number;
  readonly walltimeSeconds: number | null;
  readonly home: string;
  readonly workDirectory: string | null;
  /** Credentials that only root can read, copied beside this file. */
  readonly prepared: readonly PreparedCredential[];
}

export interface PreparedCredential {
  /** File name within `lease/`. */
  readonly file: string;
  /** Where it belongs, on the worker and on the VM. */
  readonly path: string;
  readonly mode: number;
}

export const keyFile = (attemptDirectory: string): string => join(attemptDirectory, 'lease', 'key');
/** In `run/`: the job's files were copied to its VM, and brought back from there. */
export const stamps = { copiedIn: 'copied-in', copiedBack: 'copied-back' } as const;
export const runDirectory = (attemptDirectory: string): string => join(attemptDirectory, 'run');

/** `lease/` is root's with files of the user's; `run/` is the user's own, for sockets, stamps and known hosts. */
export function writeLeaseFiles(
  attemptDirectory: string,
  ticket: LeaseTicket,
  key: string,
  owner: FileOwner,
): void {
  makeOwned(join(attemptDirectory, 'lease'), 0o711);
  writeDurably(keyFile(attemptDirectory), key, 0o600, owner);
  writeDurably(join(attemptDirectory, 'lease', 'lease.json'), JSON.stringify(ticket), 0o400, owner);
}

export function readTicket(attemptDirectory: string): LeaseTicket | null {
  const text = readPlain(join(attemptDirectory, 'lease', 'lease.json'));
  if (text === null) return null;
  try {
    const value: unknown = JSON.parse(text);
    return isTicket(value) ? value : null;
  } catch {
    return null;
  }
}

type Fields<T> = Readonly<Partial<Record<keyof T, unknown>>>;
const isText = (value: unknown): boolean => typeof value === 'string';
const isTextOrNull = (value: unknown): boolean => value === null || isText(value);
const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

function isPrepared(value: unknown): value is PreparedCredential {
  if (!isObject(value)) return false;
  const { file, path, mode }: Fields<PreparedCredential> = value;
  return typeof file === 'string' && /^credential-\d+$/.test(file) && isText(path) && Number.isInteger(mode);
}

/** The user may have written what they like into their own file: then it is none. */
function isTicket(value: unknown): value is LeaseTicket {
  if (!isObject(value)) return false;
  const ticket: Fields<LeaseTicket> = value;
  if (!isObject(ticket.service)) return false;
  const service: Fields<LeaseTicket['service']> = ticket.service;
  return (
    ticket.version === 1 &&
    typeof service.url === 'string' &&
    URL.canParse(service.url) &&
    isTextOrNull(service.caFile) &&
    typeof ticket.lease === 'string' &&
    /^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/.test(ticket.lease) &&
    [ticket.capability, ticket.job, ticket.home].every(isText) &&
    Number.isInteger(ticket.start) &&
    (ticket.walltimeSeconds === null || typeof ticket.walltimeSeconds === 'number') &&
    isTextOrNull(ticket.workDirectory) &&
    Array.isArray(ticket.prepared) &&
    ticket.prepared.every(isPrepared)
  );
}

/** Removes `lease/`. Root's own directory: plain names, nothing to follow. */
export function removeLeaseFiles(attemptDirectory: string, prepared: readonly string[]): void {
  for (const name of ['key', 'lease.json', ...prepared])
    try {
      unlinkSync(join(attemptDirectory, 'lease', name));
    } catch {
      // Not there: the prologue did not come that far, or another copy of us was here.
    }
  // A prologue that was killed may have left half a key.
  removeDrafts(join(attemptDirectory, 'lease'));
  try {
    rmdirSync(join(attemptDirectory, 'lease'));
  } catch {
    // As above.
  }
}
