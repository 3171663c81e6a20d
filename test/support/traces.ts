import { readdirSync, readFileSync } from 'node:fs';

/** The directories of a run of the demo or of chaos, by its pid, and processes that name one of them. */
export const traces = (pid: number): readonly string[] => {
  const name = `vmpool-demo-${String(pid)}-`;
  const processes = readdirSync('/proc').filter((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    try {
      const { length } = ['cmdline', 'environ'].filter((file) =>
        readFileSync(`/proc/${entry}/${file}`, 'utf8').includes(name),
      );
      return length > 0;
    } catch {
      return false;
    }
  });
  return [...readdirSync('/var/tmp').filter((entry) => entry.startsWith(name)), ...processes];
};
