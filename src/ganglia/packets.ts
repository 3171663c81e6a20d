/**
 * Packets of Ganglia's wire format since 3.1, in XDR (RFC 4506), after `lib/gm_protocol.x` of Ganglia's monitor-core: a
 * metric's description, and its value as text. `gmetric` would do the same in a process for each figure, and would have to
 * be on the machine of the vmpool service.
 */

/** Numbers of the messages in `Ganglia_msg_formats`. */
const fullMetadata = 128;
const textValue = 133;
/** A gauge, in `Ganglia_slope_t`. */
const slopeBoth = 3;

export interface Figure {
  readonly name: string;
  readonly title: string;
  readonly units: string;
  /** Not negative; sent as `uint32`. */
  readonly value: number;
}

export interface FigureSource {
  /** An IPv4 address: a colon ends it in the format. */
  readonly ip: string;
  readonly name: string;
}

/** Seconds: how often they come at least, and when a silent source's figures are forgotten. */
export interface FigureTimes {
  readonly tmax: number;
  readonly dmax: number;
}

const uint = (value: number): Buffer => {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value);
  return buffer;
};

/** Length, bytes, zeros up to a multiple of four. */
const text = (value: string): Buffer => {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint(bytes.length), bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
};

/** Told as another host than the sender (`spoof`): the figures are the pool's and not the machine's. */
const metricId = ({ ip, name }: FigureSource, metric: string): Buffer =>
  Buffer.concat([text(`${ip}:${name}`), text(metric), uint(1)]);

/** What a figure is, then its value: a collector that has just been started knows neither. Pure. */
export function figurePackets(source: FigureSource, figure: Figure, times: FigureTimes): readonly Buffer[] {
  const { name, title, units, value } = figure;
  const id = metricId(source, name);
  const extra: readonly (readonly [string, string])[] = [
    ['GROUP', 'vmpool'],
    ['TITLE', title],
    ['SPOOF_HOST', `${source.ip}:${source.name}`],
  ];
  return [
    Buffer.concat([
      ...[uint(fullMetadata), id, text('uint32'), text(name), text(units)],
      ...[uint(slopeBoth), uint(times.tmax), uint(times.dmax), uint(extra.length)],
      ...extra.flatMap((pair) => pair.map(text)),
    ]),
    Buffer.concat([uint(textValue), id, text('%s'), text(String(value))]),
  ];
}
