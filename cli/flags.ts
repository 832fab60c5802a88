// The kinds of flags a command may declare. A flag turns texts from the command line into one typed value.
import { parseBytes, parseDurationMs, parseNanoCpus } from './units.ts'

/** Names of things that shell completion can ask the daemon for. */
export type Completion =
  | 'services'
  | 'nodes'
  | 'images'
  | 'networks'
  | 'secrets'
  | 'configs'
  | 'tasks'
  | 'volumes'
  | 'stacks'
  | 'revisions'
  | 'targets'
  | 'places'
  | 'ends'

export interface Flag<T> {
  readonly summary: string
  /** One letter, for `-d`. */
  readonly short: string | undefined
  /** Kind of value shown in help; empty for switches. */
  readonly takes: string
  /** The value while the flag is not given. */
  readonly initial: T
  /** Default shown in help; empty: none. */
  readonly shown: string
  /** What a flag given without a value means; undefined: it needs one. */
  readonly implied: string | undefined
  /** Values shell completion offers. */
  readonly completes: Completion | readonly string[] | undefined
  /** The value after one more occurrence. Errors: Error whose text says what is wrong with `text`. */
  next(current: T, text: string): T
}

export type Flags = Readonly<Record<string, Flag<unknown>>>

/** The values of a set of flags. */
export type FlagValues<F extends Flags> = {
  readonly [K in keyof F]: F[K] extends Flag<infer T> ? T : never
}

interface FlagOptions {
  readonly short?: string
  readonly takes?: string
  /** Default as shown in help, when the flag itself stays undefined (the daemon knows the default). */
  readonly shown?: string
  readonly completes?: Completion | readonly string[]
}

function flag<T>(
  summary: string,
  initial: T,
  next: (current: T, text: string) => T,
  options: FlagOptions & { readonly implied?: string },
): Flag<T> {
  return {
    summary,
    short: options.short,
    takes: options.takes ?? '',
    initial,
    shown: options.shown ?? '',
    implied: options.implied,
    completes: options.completes,
    next,
  }
}

function truth(text: string): boolean {
  if (['true', '1', 't', 'T', 'TRUE', 'True'].includes(text)) return true
  if (['false', '0', 'f', 'F', 'FALSE', 'False'].includes(text)) return false
  throw new Error('must be true or false')
}

/** A switch, off unless given. */
export function bool(summary: string, options: FlagOptions = {}): Flag<boolean> {
  return flag<boolean>(summary, false, (_, text) => truth(text), { ...options, implied: 'true' })
}

/** A switch that is undefined unless given, so that "not said" differs from "false". */
export function triBool(summary: string, options: FlagOptions = {}): Flag<boolean | undefined> {
  return flag<boolean | undefined>(summary, undefined, (_, text) => truth(text), {
    ...options,
    implied: 'true',
  })
}

/** A text; undefined unless given. */
export function text(summary: string, options: FlagOptions = {}): Flag<string | undefined> {
  return flag<string | undefined>(summary, undefined, (_, value) => value, {
    takes: 'string',
    ...options,
  })
}

/** A text that may be given several times. */
export function list(summary: string, options: FlagOptions = {}): Flag<readonly string[]> {
  return flag<readonly string[]>(summary, [], (values, value) => [...values, value], {
    takes: 'list',
    ...options,
  })
}

/** One of some words; undefined unless given. */
export function choice<const W extends string>(
  summary: string,
  words: readonly W[],
  options: FlagOptions = {},
): Flag<W | undefined> {
  const pick = (value: string): W => {
    const word = words.find((candidate) => candidate === value)
    if (word === undefined) throw new Error(`must be one of ${words.join(', ')}`)
    return word
  }
  return flag<W | undefined>(summary, undefined, (_, value) => pick(value), {
    takes: 'string',
    completes: words,
    ...options,
  })
}

/** A whole number within bounds; undefined unless given. */
export function integer(
  summary: string,
  bounds: { readonly min: number; readonly max: number },
  options: FlagOptions = {},
): Flag<number | undefined> {
  const parse = (value: string): number => {
    const number = Number(value)
    if (!/^[-+]?\d+$/.test(value)) throw new Error('must be a whole number')
    if (number < bounds.min || number > bounds.max) {
      throw new Error(`must be from ${bounds.min} to ${bounds.max}`)
    }
    return number
  }
  const takes = bounds.min < 0 ? 'int' : 'uint'
  return flag<number | undefined>(summary, undefined, (_, value) => parse(value), {
    takes,
    ...options,
  })
}

/** A duration such as 1m30s, in ms; undefined unless given. */
/** A share from 0 to 1. */
export function ratio(summary: string, options: FlagOptions = {}): Flag<number | undefined> {
  const parse = (value: string): number => {
    const number = Number(value)
    if (!/^\d*\.?\d+$/.test(value) || number > 1)
      throw new Error('must be from 0 to 1, such as 0.2')
    return number
  }
  return flag<number | undefined>(summary, undefined, (_, value) => parse(value), {
    takes: 'float',
    ...options,
  })
}

export function duration(summary: string, options: FlagOptions = {}): Flag<number | undefined> {
  return flag<number | undefined>(summary, undefined, (_, value) => parseDurationMs(value), {
    takes: 'duration',
    ...options,
  })
}

/** A size such as 512M, in bytes; undefined unless given. */
export function bytes(summary: string, options: FlagOptions = {}): Flag<number | undefined> {
  return flag<number | undefined>(summary, undefined, (_, value) => parseBytes(value), {
    takes: 'bytes',
    ...options,
  })
}

/** A number of CPUs such as 0.5, in billionths; undefined unless given. */
export function cpus(summary: string, options: FlagOptions = {}): Flag<number | undefined> {
  return flag<number | undefined>(summary, undefined, (_, value) => parseNanoCpus(value), {
    takes: 'decimal',
    ...options,
  })
}
