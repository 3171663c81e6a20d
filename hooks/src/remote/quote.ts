/** A POSIX shell word that stands for exactly these characters. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
