/** Bytes for people, in the largest unit that leaves one or more, to two decimals: `1.5 GiB`. */
export function formatSize(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let [value, at] = [bytes, 0];
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024;
    at += 1;
  }
  return `${String(Math.round(value * 100) / 100)} ${units[at] ?? ''}`;
}
