import { limitNames, type JobLimits, type LimitName, type Measured } from '../pool/measured.js';

const line =
  /^v1 cpu=(\d{1,15}) memory=(\d{1,15}) wall=(\d{1,15}) begun=([01]) code=(\d{1,3}|-) told=([01]) over=(?:none|memory|cput) resource=([a-z]{1,5}|-) value=(\d{1,15}) limit=(\d{1,15}) by=(?:cgroup|sampler) answered=(?:\d{1,10}|-) {1,300}end$/;

/** Three thousand years of one processor, 256 TiB: what a job that became root may write is bounded at least. */
const mostHundredths = 1e13;
const mostBytes = 2 ** 48;
const mostCode = 255;

const isLimit = (text: string): text is LimitName => limitNames.some((name) => name === text);

/** The line that meter.sh writes; null for anything else. Times in it are hundredths of seconds. */
export function parseMeasured(text: string): Measured | null {
  const found = line.exec(text);
  if (found === null) return null;
  const [cpu = 0, memory = 0, wall = 0] = found.slice(1, 4).map(Number);
  const [begun, code = '-', told, resource = '-'] = found.slice(4, 8);
  const [value = 0, most = 0] = found.slice(8, 10).map(Number);
  const exit = code === '-' ? null : Number(code);
  if (cpu > mostHundredths || wall > mostHundredths || memory > mostBytes) return null;
  if (exit !== null && exit > mostCode) return null;
  if (resource !== '-' && !isLimit(resource)) return null;
  const unit = resource === 'cput' || resource === 'pcput' ? 100 : 1;
  return {
    cpuSeconds: cpu / 100,
    memoryBytes: memory,
    wallSeconds: wall / 100,
    begun: begun === '1',
    code: exit,
    told: told === '1',
    over: resource === '-' ? null : { limit: resource, value: value / unit, most: most / unit },
  };
}

/** The limits as meter.sh takes them: whole bytes and hundredths of seconds, 0 for none, blanks between. */
export function limitsText(limits: JobLimits): string {
  return limitNames
    .map((name) => {
      const most = limits[name] ?? 0;
      const unit = name === 'cput' || name === 'pcput' ? 100 : 1;
      const whole = Math.floor(most * unit);
      return Number.isSafeInteger(whole) && whole > 0 ? whole : 0;
    })
    .join(' ');
}
