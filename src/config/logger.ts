import { pino, type DestinationStream, type Logger } from 'pino';

/** Fields that may hold a secret, wherever they stand in what is logged. The code logs none of them. */
const secretFields = [
  'authorization',
  'token',
  'capability',
  'password',
  'passphrase',
  'secret',
  'privateKey',
];

/** The service's structured log: JSON lines on standard output, or on `destination`. */
export const createLogger = (level: string, destination?: DestinationStream): Logger =>
  pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: {
        paths: secretFields.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]),
        censor: '(redacted)',
      },
    },
    destination ?? pino.destination({ sync: true }),
  );
