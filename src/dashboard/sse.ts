/** One server-sent event. */
export interface SentEvent {
  readonly event: string;
  readonly data: string;
}

/**
 * Takes a `text/event-stream` apart as its pieces come in. Fetch and not EventSource: only that can send the token
 * in a header instead of the address, which would be logged.
 * Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */
export class SseParser {
  private rest = '';

  /** The events that are complete with this piece. */
  push(piece: string): readonly SentEvent[] {
    const text = (this.rest + piece).replaceAll('\r\n', '\n');
    // A carriage return at the very end may be the first half of a line's end.
    const parts = text.split('\n\n');
    this.rest = parts.pop() ?? '';
    return parts.flatMap((part) => {
      const event = parsed(part);
      return event === null ? [] : [event];
    });
  }
}

function parsed(part: string): SentEvent | null {
  let event = 'message';
  const data: string[] = [];
  for (const line of part.split('\n')) {
    if (line.startsWith(':')) continue;
    const at = line.indexOf(':');
    const field = at === -1 ? line : line.slice(0, at);
    const value = at === -1 ? '' : line.slice(at + 1).replace(/^ /, '');
    if (field === 'event') event = value;
    else if (field === 'data') data.push(value);
  }
  return data.length === 0 ? null : { event, data: data.join('\n') };
}
