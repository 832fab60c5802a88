// Flags and arguments as docker's command line reads them: --flag=value, --flag value, -q, -qf value, --.
import { SwarmError } from '../proto/errors.ts'
import { suggestion } from '../proto/lib/suggest.ts'
import type { Command } from './command.ts'
import type { Flag, Flags } from './flags.ts'

export type ParsedCommand =
  | {
      readonly kind: 'run'
      readonly flags: Record<string, unknown>
      readonly args: readonly string[]
    }
  | { readonly kind: 'help' }

/** The values of a command's flags and its arguments. Errors: USAGE. */
export function parseCommand(command: Command, argv: readonly string[]): ParsedCommand {
  const parsed = parseFlags(command.flags, argv, {
    stopAtFirst: command.args.stopAtFirst ?? false,
    absent: command.absent,
  })
  if (parsed.help) return { kind: 'help' }
  checkCount(command, parsed.args.length)
  return { kind: 'run', flags: parsed.flags, args: parsed.args }
}

export interface ParsedFlags {
  readonly flags: Record<string, unknown>
  readonly args: readonly string[]
  readonly help: boolean
}

export interface FlagRules {
  /** The first argument ends the flags. */
  readonly stopAtFirst?: boolean
  /** What to use instead of a flag that Swarm has; undefined for words that mean nothing. */
  readonly absent?: ((name: string) => string | undefined) | undefined
}

/** Flags and what is left. Errors: USAGE, UNSUPPORTED. */
export function parseFlags(flags: Flags, argv: readonly string[], rules: FlagRules): ParsedFlags {
  const { stopAtFirst = false, absent } = rules
  const values: Record<string, unknown> = Object.fromEntries(
    Object.entries(flags).map(([name, flag]) => [name, flag.initial]),
  )
  const args: string[] = []
  let help = false
  let at = 0
  while (at < argv.length) {
    const word = argv[at] ?? ''
    if (word === '--') {
      args.push(...argv.slice(at + 1))
      break
    }
    if (word === '-' || !word.startsWith('-')) {
      args.push(...(stopAtFirst ? argv.slice(at) : [word]))
      if (stopAtFirst) break
      at += 1
      continue
    }
    const found = word.startsWith('--') ? longFlag(flags, word, absent) : shortFlags(flags, word)
    at += 1
    for (const item of found) {
      if (item.name === 'help') {
        help = true
        continue
      }
      const { text, used } = textOf(item, argv[at])
      if (used) at += 1
      values[item.name] = applyFlag(item, values[item.name], text)
    }
  }
  return { flags: values, args, help }
}

interface FoundFlag {
  readonly name: string
  /** As the user wrote it, for errors. */
  readonly shown: string
  readonly flag: Flag<unknown>
  /** Given in the same word. */
  readonly value: string | undefined
}

const helpFlag: Flag<unknown> = {
  summary: 'Print usage',
  short: 'h',
  takes: '',
  initial: false,
  shown: '',
  implied: 'true',
  completes: undefined,
  next: () => true,
}

function longFlag(flags: Flags, word: string, absent: FlagRules['absent']): readonly FoundFlag[] {
  const equals = word.indexOf('=')
  const name = word.slice(2, equals === -1 ? undefined : equals)
  const value = equals === -1 ? undefined : word.slice(equals + 1)
  const flag = Object.hasOwn(flags, name) ? flags[name] : name === 'help' ? helpFlag : undefined
  if (flag === undefined) {
    const instead = absent?.(name)
    if (instead !== undefined) {
      throw new SwarmError('UNSUPPORTED', `flag --${name} cannot be used: ${instead}`)
    }
    const near = suggestion(name, Object.keys(flags))
    throw usage(`unknown flag: --${name}${near === undefined ? '' : ` (did you mean --${near}?)`}`)
  }
  return [{ name, shown: `--${name}`, flag, value }]
}

/** `-qf value`, `-fvalue`, `-f=value`: letters up to the first one that takes a value. */
function shortFlags(flags: Flags, word: string): readonly FoundFlag[] {
  const found: FoundFlag[] = []
  for (let at = 1; at < word.length; at += 1) {
    const letter = word[at] ?? ''
    const entry = Object.entries(flags).find(([, flag]) => flag.short === letter)
    const [name, flag] = entry ?? ['help', letter === 'h' ? helpFlag : undefined]
    if (flag === undefined) throw usage(`unknown shorthand flag: '${letter}' in ${word}`)
    const rest = word.slice(at + 1)
    const shown = `-${letter}, --${name}`
    if (rest.startsWith('=')) return [...found, { name, shown, flag, value: rest.slice(1) }]
    if (flag.implied === undefined) {
      return [...found, { name, shown, flag, value: rest === '' ? undefined : rest }]
    }
    found.push({ name, shown, flag, value: undefined })
  }
  return found
}

function textOf(
  item: FoundFlag,
  following: string | undefined,
): { readonly text: string; readonly used: boolean } {
  if (item.value !== undefined) return { text: item.value, used: false }
  if (item.flag.implied !== undefined) return { text: item.flag.implied, used: false }
  if (following === undefined) throw usage(`flag needs an argument: ${item.shown}`)
  return { text: following, used: true }
}

function applyFlag(item: FoundFlag, current: unknown, text: string): unknown {
  try {
    return item.flag.next(current, text)
  } catch (err) {
    const why = err instanceof Error ? err.message : String(err)
    throw usage(`invalid argument ${JSON.stringify(text)} for "${item.shown}" flag: ${why}`, err)
  }
}

function checkCount(command: Command, count: number): void {
  const { min, max, usage: shown } = command.args
  if (count >= min && count <= max) return
  const name = `"tsswarm ${command.name}"`
  if (max === 0) throw usage(`${name} accepts no arguments`)
  const bound = min === max ? 'exactly' : count < min ? 'at least' : 'at most'
  const wanted = count < min ? min : max
  throw usage(`${name} requires ${bound} ${wanted} argument${wanted === 1 ? '' : 's'}: ${shown}`)
}

/** An error of the one who typed the command. */
export function usage(message: string, cause?: unknown): SwarmError {
  return new SwarmError('USAGE', message, cause === undefined ? {} : { cause })
}
