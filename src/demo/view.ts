import type { Terminal } from '../cli/terminal.js';
import { cut } from '../cli/table.js';

/** Tells the demo's progress: lines that stay, and on a terminal a part below them that is drawn anew. */
export interface View {
  /** A step or an event: stays. */
  line(text: string): void;
  /** What is drawn anew at the bottom of a terminal; ignored elsewhere. */
  frame(lines: readonly string[]): void;
  /** Removes the drawn part for good. */
  settle(): void;
}

const clearDown = '\u001b[0J';
const up = (rows: number): string => (rows === 0 ? '' : `\u001b[${String(rows)}A`);

/** `elapsed` is written before each line, in seconds. */
export const createView = (terminal: Terminal, live: boolean, elapsedMs: () => number): View => {
  let drawn = 0;
  let last: readonly string[] = [];
  const erase = (): string => {
    const text = drawn === 0 ? '' : `${up(drawn)}\r${clearDown}`;
    drawn = 0;
    return text;
  };
  const draw = (lines: readonly string[]): string => {
    const { columns, rows } = terminal.size();
    // A part taller than the screen could not be erased again.
    const shown = lines.slice(0, Math.max(1, rows - 2)).map((line) => cut(line, columns - 1));
    drawn = shown.length;
    return shown.map((line) => `${line}\n`).join('');
  };
  return {
    line: (text) => {
      const seconds = (elapsedMs() / 1000).toFixed(1).padStart(6);
      const stamped = `${terminal.paint('dim', `[${seconds} s]`)} ${text}\n`;
      terminal.write(live ? erase() + stamped + draw(last) : stamped);
    },
    frame: (lines) => {
      last = lines;
      if (live) terminal.write(erase() + draw(lines));
    },
    settle: () => {
      last = [];
      if (live) terminal.write(erase());
    },
  };
};
