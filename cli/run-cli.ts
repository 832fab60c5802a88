// From the words of a command line to an exit code: finds the command, parses, runs, words the errors.
import { errorKind, SwarmError } from '../proto/errors.ts'
import { suggestion } from '../proto/lib/suggest.ts'
import { version } from '../proto/version.ts'
import type { Command } from './command.ts'
import type { CommandContext } from './context.ts'
import { defaultSocketPath, globalFlags } from './global-flags.ts'
import { parseCommand, parseFlags, usage } from './parse-args.ts'
import {
  absentCommands,
  type CommandGroup,
  dockersCommands,
  groups,
  plainCommands,
} from './registry.ts'
import { commandHelp, groupHelp, type HelpEntry, programHelp } from './render/help.ts'

/** What main gives to run: everything of a CommandContext but what the global flags decide. */
export type CliEnvironment = Omit<CommandContext, 'socketPath' | 'connect'> & {
  connect(socketPath: string): ReturnType<CommandContext['connect']>
}

/** Runs a command line (without node and program). Never throws; errors go to stderr. */
export async function runCli(env: CliEnvironment, argv: readonly string[]): Promise<number> {
  let command: string | undefined
  const connection = sharedConnection(env)
  try {
    const parsed = parseFlags(globalFlags, argv, { stopAtFirst: true })
    const host = typeof parsed.flags['host'] === 'string' ? parsed.flags['host'] : undefined
    const socketPath = socketPathOf(host ?? env.env['TSSWARM_HOST'])
    const ctx = { ...env, socketPath, connect: connection.open(socketPath) }
    if (parsed.flags.version === true) {
      ctx.stdout.write(`tsswarm version ${version}\n`)
      return 0
    }
    const words = parsed.args[0] === 'help' ? [...parsed.args.slice(1), '--help'] : parsed.args
    if (parsed.help || words.length === 0 || words[0] === '--help') {
      ctx.stdout.write(programText())
      return 0
    }
    if (words[0] === '__complete') return await printCandidates(ctx, words.slice(1))
    command = groups.find((group) => group.name === words[0])?.name
    const found = await findCommand(words)
    command = found.kind === 'command' ? found.command.name : found.group.name
    if (found.kind === 'group-help') {
      ctx.stdout.write(await groupText(found.group))
      return 0
    }
    return await runCommand(ctx, found)
  } catch (err) {
    return reportError(env, command, err)
  } finally {
    await connection.close()
  }
}

/** One connection a command line, made when it is first needed. */
function sharedConnection(env: CliEnvironment): {
  open(socketPath: string): CommandContext['connect']
  close(): Promise<void>
} {
  let client: ReturnType<CommandContext['connect']> | undefined
  return {
    open: (socketPath) => () => {
      client ??= env.connect(socketPath)
      return client
    },
    close: async () => {
      const opened = await client?.catch(() => undefined)
      opened?.close()
    },
  }
}

/** What the completion scripts ask: `__complete -- WORD...`. */
async function printCandidates(ctx: CommandContext, words: readonly string[]): Promise<number> {
  const { candidatesFor } = await import('./complete.ts')
  const candidates = await candidatesFor(ctx, words[0] === '--' ? words.slice(1) : words)
  ctx.stdout.write(candidates.map(({ word, about }) => `${word}\t${about}\n`).join(''))
  return 0
}

async function runCommand(ctx: CommandContext, found: FoundCommand): Promise<number> {
  const parsed = parseCommand(found.command, found.rest)
  if (parsed.kind === 'help') {
    ctx.stdout.write(commandHelp(found.command, found.aliases))
    return 0
  }
  return (await found.command.run(ctx, parsed)) ?? 0
}

function socketPathOf(host: string | undefined): string {
  if (host === undefined || host === '') return defaultSocketPath
  const path = host.replace(/^unix:(\/\/)?/, '')
  if (path.startsWith('/')) return path
  throw usage(
    `invalid host ${JSON.stringify(host)}: give the path of a unix socket, as in -H ${defaultSocketPath}`,
  )
}

interface FoundCommand {
  readonly kind: 'command'
  readonly command: Command
  readonly aliases: readonly string[]
  readonly rest: readonly string[]
}

type Found = FoundCommand | { readonly kind: 'group-help'; readonly group: CommandGroup }

async function findCommand(words: readonly string[]): Promise<Found> {
  const [first = '', ...rest] = words
  const plain = plainCommands.find((candidate) => candidate.name === first)
  if (plain !== undefined)
    return { kind: 'command', command: await plain.load(), aliases: [], rest }
  const group = groups.find((candidate) => candidate.name === first)
  if (group === undefined) throw unknownCommand(first)
  const [second, ...more] = rest
  if (second === undefined || second === '--help' || second === '-h') {
    return { kind: 'group-help', group }
  }
  const verb = Object.hasOwn(group.aliases, second) ? (group.aliases[second] ?? second) : second
  const load = Object.hasOwn(group.commands, verb) ? group.commands[verb] : undefined
  if (load === undefined) throw unknownVerb(group, second)
  return { kind: 'command', command: await load(), aliases: aliasesOf(group, verb), rest: more }
}

/** Other full names of a command, "service list" for "service ls". */
export function aliasesOf(group: CommandGroup, verb: string): readonly string[] {
  return Object.entries(group.aliases)
    .filter(([, target]) => target === verb)
    .map(([alias]) => `${group.name} ${alias}`)
}

function unknownCommand(word: string): SwarmError {
  if (word.startsWith('-')) return usage(`unknown flag: ${word}`)
  const absent = absentCommand(word)
  if (absent !== undefined) return absent
  if (Object.hasOwn(dockersCommands, word)) {
    return usage(`"${word}" is not a tsswarm command${didYouMean(dockersCommands[word])}`)
  }
  const known = ['help', ...[...groups, ...plainCommands].map((entry) => entry.name)]
  return usage(`"${word}" is not a tsswarm command${didYouMean(suggestion(word, known))}`)
}

function unknownVerb(group: CommandGroup, word: string): SwarmError {
  if (word.startsWith('-')) return usage(`unknown flag: ${word}`)
  const absent = absentCommand(`${group.name} ${word}`)
  if (absent !== undefined) return absent
  const known = [...Object.keys(group.commands), ...Object.keys(group.aliases)]
  const near = didYouMean(suggestion(word, known))
  return usage(`"${word}" is not a command of "tsswarm ${group.name}"${near}`)
}

function absentCommand(name: string): SwarmError | undefined {
  if (!Object.hasOwn(absentCommands, name)) return undefined
  return new SwarmError(
    'UNSUPPORTED',
    `"tsswarm ${name}" is not available in this version: ${absentCommands[name]}`,
  )
}

function didYouMean(word: string | undefined): string {
  return word === undefined ? '' : ` (did you mean "${word}"?)`
}

/** Help of a group; loads its commands for their summaries. */
async function groupText(group: CommandGroup): Promise<string> {
  const entries = await Promise.all(
    Object.entries(group.commands).map(async ([name, load]): Promise<HelpEntry> => {
      const command = await load()
      return { name, summary: command.summary }
    }),
  )
  return groupHelp(group, entries)
}

function programText(): string {
  const sections = [
    { title: 'Management Commands', entries: groups },
    { title: 'Commands', entries: plainCommands },
  ]
  return programHelp({ sections, flags: globalFlags })
}

function reportError(env: CliEnvironment, command: string | undefined, err: unknown): number {
  const code = err instanceof SwarmError ? err.code : 'INTERNAL'
  if (code === 'CANCELLED' && env.signal.aborted) return 130
  const message = err instanceof Error ? err.message : String(err)
  if (code === 'USAGE') {
    const name = command === undefined ? 'tsswarm' : `tsswarm ${command}`
    env.stderr.write(`${message}\nSee '${name} --help'.\n`)
  } else {
    env.stderr.write(`Error: ${message}\n`)
    if (!(err instanceof SwarmError) && err instanceof Error) env.stderr.write(`${err.stack}\n`)
  }
  return errorKind(code).exit
}
