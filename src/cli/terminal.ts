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

/** Colours only on a terminal, and not where NO_COLOR (any value that is not empty) or TERM=dumb asks for none. */
export const wantsColour = (
  isTerminal: boolean,
  env: Readonly<Record<string, string | undefined>>,
): boolean => isTerminal && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';

/** The process's own terminal. */
export const processTerminal = (): Terminal => {
  const isTerminal = process.stdout.isTTY;
  return {
    out: (text) => void process.stdout.write(`${text}\n`),
    err: (text) => void process.stderr.write(`${text}\n`),
    write: (text) => void process.stdout.write(text),
    interactive: isTerminal && process.env['TERM'] !== 'dumb',
    paint: wantsColour(isTerminal, process.env) ? coloured : plain,
    size: () => ({ columns: process.stdout.columns || 80, rows: process.stdout.rows || 24 }),
  };
};
