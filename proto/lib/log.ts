// Logging: pino with fixed messages and facts in fields. One child logger a part.
import { pino } from 'pino'

export interface Logger {
  trace(fields: object, message: string): void
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  fatal(fields: object, message: string): void
  child(fields: object): Logger
}

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'

/** A JSON line logger on standard error. Known secret fields are redacted. */
export function createLogger(level: LogLevel, name: string): Logger {
  return pino(
    {
      name,
      level,
      serializers: { err: pino.stdSerializers.err },
      redact: {
        paths: ['token', '*.token', 'key', '*.key', 'secret', '*.secret'],
        censor: '[redacted]',
      },
    },
    pino.destination({ dest: 2, sync: true }),
  )
}

/** Discards everything; for tests. */
export const silentLogger: Logger = {
  trace: () => {},
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  fatal: () => {},
  child: () => silentLogger,
}
