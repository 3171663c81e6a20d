/** In which order suites run beside each other. */
import { StringDecoder } from 'node:string_decoder';

/**
 * Runs tasks in their order, as many at a time as their `slots` fit into `capacity`; none overtakes one that waits for
 * room, so that a wide one is not put off for ever. `alone` is awaited whenever nothing runs, before the next task
 * starts and at the end, with the names of what ended since the last time. Once `stopped` says true, no more starts.
 *
 * A task: `{ name, slots, run }`, where a width beyond the capacity counts as all of it and `run(narrow)` resolves when
 * the task has ended; it must not reject. Once it needs less room it calls `narrow(slots)`, and others come in beside it.
 */
export async function runScheduled(tasks, { capacity, alone, stopped }) {
  const running = new Set();
  const ended = [];
  let used = 0;
  let hasRoom = () => undefined;
  const moreRoom = () => new Promise((resolve) => (hasRoom = resolve));
  const quiet = async () => {
    if (running.size === 0 && ended.length > 0) await alone(ended.splice(0));
  };
  for (const { name, slots, run } of tasks) {
    let width = Math.min(slots, capacity);
    while (used + width > capacity) await moreRoom();
    await quiet();
    if (stopped()) break;
    used += width;
    const narrow = (to) => {
      if (!running.has(task) || to >= width) return;
      used -= width - to;
      width = to;
      hasRoom();
    };
    // Begins when it is known to run.
    const task = Promise.resolve()
      .then(() => run(narrow))
      .then(() => {
        running.delete(task);
        used -= width;
        ended.push(name);
        hasRoom();
      });
    running.add(task);
  }
  await Promise.all(running);
  await quiet();
}

/**
 * Puts a name before each line of a stream of chunks, so that the lines of suites that run side by side can be told
 * apart. `write` gets whole lines; `end()` writes what is left without a line's end.
 */
export function namedLines(name, write) {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  const line = (text) => write(`[${name}] ${text}\n`);
  return {
    chunk(data) {
      const lines = (rest + (typeof data === 'string' ? data : decoder.write(data))).split('\n');
      rest = lines.pop() ?? '';
      for (const text of lines) line(text);
    },
    end() {
      if (rest !== '') line(rest);
      rest = '';
    },
  };
}
