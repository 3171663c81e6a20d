/** Where a command writes, and how it may. */
export interface Terminal {
  /** A line (or several) on standard output. */
  out(text: string): void;
  /** A line on standard error. */
  err(text: string): void;
  /** Bytes on standard output as they are. */
  write(text: string): void;
  /** Standard output is a terminal that a person looks at. */
  readonly interactive: boolean;
  readonly paint: Paint;
  /** Columns and rows now. */
  size(): { readonly columns: number; readonly rows: number };
  /** Calls back whenever the terminal gets another size. Returns the way to end that. */
  onResize(changed: () => void): () => void;
}

export type Colour = 'red' | 'green' | 'yellow' | 'blue' | 'cyan' | 'dim' | 'bold';
export type Paint = (colour: Colour, text: string) => string;

const codes: Readonly<Record<Colour, readonly [number, number]>> = {
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
  cyan: [36, 39],
  dim: [2, 22],
  bold: [1, 22],
};

export const plain: Paint = (_colour, text) => text;

export const coloured: Paint = (colour, text) => {
  const [on, off] = codes[colour];
  return text === '' ? '' : `\u001b[${String(on)}m${text}\u001b[${String(off)}m`;
};

// eslint-disable-next-line no-control-regex -- this is how terminals are painted
const paintCodes = /\u001b\[\d+m/g;

/** Text without its paint. */
export const bare = (text: string): string => text.replace(paintCodes, '');

/** Characters that are seen. */
export const visibleLength = (text: string): number => bare(text).length;

/** Colours only on a terminal, and not where NO_COLOR (any value that is not empty) or TERM=dumb asks for none. */
export const wantsColour = (
  isTerminal: boolean,
  env: Readonly<Record<string, string | undefined>>,
): boolean => isTerminal && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';

// Colours of `coloured`, line feeds and tabs are ours; all else that is no character to be seen is not.
// eslint-disable-next-line no-control-regex
const notOurs = /(\u001b\[\d{1,2}m)|[\n\t]|[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/**
 * Text as a terminal may show it. Details of VMs, jobs and errors can hold what a job wrote, which must neither move
 * the cursor nor hide, rename or answer anything on the terminal of an operator.
 */
export const harmless = (text: string): string =>
  text.replace(notOurs, (found, paint: string | undefined) => {
    if (paint !== undefined || found === '\n' || found === '\t') return found;
    // As JSON escapes them, so that `--json` stays what it was.
    const units = Array.from({ length: found.length }, (_, at) => found.charCodeAt(at));
    return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
  });

/** The same in one line, so that it cannot pass for a line of ours. */
export const harmlessLine = (text: string): string => harmless(text).replace(/\s*\n\s*/g, ' | ');

/** How wide a line may be: a terminal's width; what goes to a file or another program is not cut. */
export const widthOf = (terminal: Terminal): number =>
  terminal.interactive ? terminal.size().columns : Infinity;

/** The process's own terminal. */
export const processTerminal = (): Terminal => {
  const isTerminal = process.stdout.isTTY;
  return {
    out: (text) => void process.stdout.write(`${harmless(text)}\n`),
    err: (text) => void process.stderr.write(`${harmless(text)}\n`),
    write: (text) => void process.stdout.write(text),
    interactive: isTerminal && process.env['TERM'] !== 'dumb',
    paint: wantsColour(isTerminal, process.env) ? coloured : plain,
    size: () => ({ columns: process.stdout.columns || 80, rows: process.stdout.rows || 24 }),
    onResize: (changed) => {
      process.stdout.on('resize', changed);
      return () => void process.stdout.removeListener('resize', changed);
    },
  };
};
