/** A word for a POSIX shell, whatever is in it (but NUL). */
export const shellQuote = (text: string): string =>
  /^[A-Za-z0-9_./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
