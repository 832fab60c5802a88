// Logging: pino with fixed messages and facts in fields. One child logger a part.
import { type Logger as PinoLogger, pino } from 'pino'

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

/** A logger whose level, and that of all its children, can be changed while it is used. */
export interface AdjustableLogger extends Logger {
  setLevel(level: LogLevel): void
}

/** A JSON line logger on standard error. Known secret fields are redacted. */
export function createLogger(level: LogLevel, name: string): AdjustableLogger {
  // A child keeps the level it was made with.
  const children = new LivingSet<PinoLogger>()
  const root = pino(
    {
      name,
      level,
      onChild: (child: PinoLogger) => children.add(child),
      serializers: { err: pino.stdSerializers.err },
      redact: {
        paths: ['token', '*.token', 'key', '*.key', 'secret', '*.secret'],
        censor: '[redacted]',
      },
    },
    pino.destination({ dest: 2, sync: true }),
  )
  const setLevel = (wanted: LogLevel): void => {
    root.level = wanted
    for (const child of children.values()) child.level = wanted
  }
  return Object.assign(root, { setLevel })
}

/** Objects that somebody still holds; it does not hold them itself. */
class LivingSet<T extends object> {
  #references: WeakRef<T>[] = []
  #pruneAt = 64

  add(object: T): void {
    if (this.#references.length >= this.#pruneAt) {
      this.#references = this.#references.filter((reference) => reference.deref() !== undefined)
      this.#pruneAt = Math.max(64, this.#references.length * 2)
    }
    this.#references.push(new WeakRef(object))
  }

  values(): readonly T[] {
    return this.#references.flatMap((reference) => reference.deref() ?? [])
  }
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
