import type { Measured } from '../pool/measured.js';
import type { MemberName } from '../pool/model.js';
import type { Marker } from './port.js';
import { parseMeasured } from './measured.js';
import { parseMarker, type MarkerSeal } from './marker.js';

/**
 * What the scripts answer, read strictly: a VM may be broken or hostile, so whatever is not exactly an answer is
 * none. Text from a VM is shortened and made printable before it goes on.
 */

export type ProbeAnswer =
  | {
      readonly ok: true;
      readonly bootId: string;
      readonly marker: Marker | null;
      /** What the marker's lease has used so far; null where that is not measured. */
      readonly measured: Measured | null;
    }
  | { readonly ok: false; readonly why: string };

export type OrderAnswer =
  | { readonly kind: 'ok'; readonly notes: readonly string[]; readonly measured: Measured | null }
  | {
      /** `stale`: a later order was carried out before; `why` is its number. */
      readonly kind: 'refused' | 'foreign' | 'stale' | 'failed';
      readonly why: string;
      readonly notes: readonly string[];
      /** What the lease has used, where the order was a scrub's. */
      readonly measured: Measured | null;
    };

const usagePrefix = 'usage ';

export function printable(text: string, limit = 300): string {
  const plain = text.replace(/[^\x20-\x7e\u00a0-\uffff]/g, (character) => {
    return `\\x${(character.codePointAt(0) ?? 0).toString(16).padStart(2, '0')}`;
  });
  return plain.length <= limit ? plain : `${plain.slice(0, limit)}...`;
}

/** The answer of that VM to probe.sh. */
export function parseProbe(output: string, member: MemberName, seal: MarkerSeal): ProbeAnswer {
  const lines = output.split('\n');
  // Figures are no part of the verdict on a VM: such as cannot be read are none.
  const usage = lines[2]?.startsWith(usagePrefix) === true ? lines.splice(2, 1)[0] : undefined;
  const measured = usage === undefined ? null : parseMeasured(usage.slice(usagePrefix.length));
  const [boot, marker, end, rest] = lines;
  const bootId = /^boot ([0-9a-f-]{36})$/.exec(boot ?? '')?.[1];
  if (!bootId || !marker?.startsWith('marker ') || end !== 'end' || rest !== '' || lines.length !== 4) {
    return { ok: false, why: `the probe answered something else: ${printable(output)}` };
  }
  const text = marker.slice('marker '.length);
  if (text === '-') return { ok: true, bootId, marker: null, measured: null };
  const parsed = parseMarker(text, member, seal);
  if (!parsed)
    return { ok: false, why: `/etc/vmpool/lease.json is not a marker of ours: ${printable(text)}` };
  return { ok: true, bootId, marker: parsed, measured };
}

export interface ContractAnswer {
  readonly missing: readonly string[];
  readonly epochSeconds: number;
}

export function parseContract(output: string): ContractAnswer | null {
  const lines = output.split('\n');
  if (lines.at(-1) !== '' || lines.at(-2) !== 'end') return null;
  const clock = /^clock (\d{1,12})$/.exec(lines.at(-3) ?? '')?.[1];
  const missing = lines.slice(0, -3);
  if (clock === undefined || !missing.every((line) => line.startsWith('missing '))) return null;
  return {
    missing: missing.slice(0, 50).map((line) => printable(line.slice('missing '.length))),
    epochSeconds: Number(clock),
  };
}

/** The answer of welcome.sh, stage.sh, scrub.sh and measure.sh; null when it is none. */
export function parseOrderAnswer(output: string): OrderAnswer | null {
  const lines = output.split('\n');
  if (lines.pop() !== '') return null;
  const last = lines.pop();
  if (last === undefined) return null;
  const told = lines.filter((line) => !line.startsWith(usagePrefix));
  if (lines.length - told.length > 1 || !told.every((line) => line.startsWith('note '))) return null;
  const usage = lines.find((line) => line.startsWith(usagePrefix));
  const measured = usage === undefined ? null : parseMeasured(usage.slice(usagePrefix.length));
  const notes = told.slice(0, 50).map((line) => printable(line.slice('note '.length)));
  if (last === 'ok') return { kind: 'ok', notes, measured };
  const match = /^(refused|foreign|stale|failed) (.+)$/.exec(last);
  const kind = match?.[1];
  if (kind !== 'refused' && kind !== 'foreign' && kind !== 'stale' && kind !== 'failed') return null;
  return { kind, why: printable(match?.[2] ?? ''), notes, measured };
}
