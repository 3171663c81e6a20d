import { harmless, type Terminal } from './terminal.js';

/** Private screen on, cursor off; and back. As xterm and all that follow it know them. */
const enter = '\u001b[?1049h\u001b[?25l';
const leave = '\u001b[?25h\u001b[?1049l';
const home = '\u001b[H';
const restOfLine = '\u001b[K';
const restOfScreen = '\u001b[J';

export interface LiveScreen {
  /** Lines no wider than the terminal; what was there before is overwritten, so that nothing flickers. */
  show(lines: readonly string[]): void;
  /** Gives the terminal back as it was. */
  close(): void;
}

export const liveScreen = (terminal: Pick<Terminal, 'write'>): LiveScreen => {
  terminal.write(enter);
  return {
    show: (lines) =>
      terminal.write(
        `${home}${lines.map((line) => `${harmless(line)}${restOfLine}`).join('\r\n')}${restOfScreen}`,
      ),
    close: () => terminal.write(leave),
  };
};

/** q, Ctrl-C and Ctrl-D. */
const quitKeys = ['q', 'Q', '\u0003', '\u0004'];

interface Keyboard {
  readonly isTTY?: boolean;
  setRawMode?(on: boolean): unknown;
  on(event: 'data', listener: (keys: Buffer) => void): unknown;
  removeListener(event: 'data', listener: (keys: Buffer) => void): unknown;
  resume(): unknown;
  pause(): unknown;
}

/** Calls back on q and Ctrl-C, which a terminal in raw mode hands over as a key. Returns the way to give it back. */
export const onQuit = (keyboard: Keyboard, quit: () => void): (() => void) => {
  if (keyboard.isTTY !== true) return () => undefined;
  const listen = (keys: Buffer): void => {
    if ([...keys.toString('latin1')].some((key) => quitKeys.includes(key))) quit();
  };
  keyboard.setRawMode?.(true);
  keyboard.on('data', listen);
  keyboard.resume();
  return () => {
    keyboard.removeListener('data', listen);
    keyboard.setRawMode?.(false);
    keyboard.pause();
  };
};
