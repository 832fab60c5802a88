// Help as docker lays it out, made from the command objects.
import type { Command } from '../command.ts'
import type { Flag, Flags } from '../flags.ts'

/** `tsswarm NOUN VERB --help`. */
export function commandHelp(command: Command, aliases: readonly string[]): string {
  const options = flagLines(command.flags)
  const name = `tsswarm ${command.name}`
  const shape = [name, options.length > 0 ? '[OPTIONS]' : '', command.args.usage]
  const parts = [`Usage:  ${shape.filter((part) => part !== '').join(' ')}`, command.summary]
  if (command.description !== undefined) parts.push(command.description)
  if (aliases.length > 0) {
    parts.push(`Aliases:\n  ${[command.name, ...aliases].map((a) => `tsswarm ${a}`).join(', ')}`)
  }
  if (options.length > 0) parts.push(`Options:\n${options.join('\n')}`)
  if (command.examples.length > 0) {
    const examples = command.examples.map((e) => `  # ${e.what}\n  $ ${e.command}`)
    parts.push(`Examples:\n${examples.join('\n\n')}`)
  }
  return `${parts.join('\n\n')}\n`
}

/** A name and what it is, for lists of commands. */
export interface HelpEntry {
  readonly name: string
  readonly summary: string
}

/** `tsswarm NOUN --help`. */
export function groupHelp(group: HelpEntry, commands: readonly HelpEntry[]): string {
  return [
    `Usage:  tsswarm ${group.name} COMMAND`,
    group.summary,
    `Commands:\n${entryLines(commands).join('\n')}`,
    `Run 'tsswarm ${group.name} COMMAND --help' for more information on a command.\n`,
  ].join('\n\n')
}

export interface ProgramHelp {
  readonly sections: readonly { readonly title: string; readonly entries: readonly HelpEntry[] }[]
  readonly flags: Flags
}

/** `tsswarm --help`. */
export function programHelp(help: ProgramHelp): string {
  const sections = help.sections.map((s) => `${s.title}:\n${entryLines(s.entries).join('\n')}`)
  return [
    'Usage:  tsswarm [OPTIONS] COMMAND',
    'Runs replicated services in containers on a cluster of hosts, in the words of Docker Swarm',
    ...sections,
    `Global Options:\n${flagLines(help.flags).join('\n')}`,
    "Run 'tsswarm COMMAND --help' for more information on a command.\n",
  ].join('\n\n')
}

function entryLines(entries: readonly HelpEntry[]): readonly string[] {
  const width = Math.max(...entries.map((entry) => entry.name.length), 0)
  return entries.map((entry) => `  ${entry.name.padEnd(width + 3)}${entry.summary}`)
}

/** One line a flag, sorted by name: `  -d, --detach   Exit immediately …`. */
export function flagLines(flags: Flags): readonly string[] {
  const rows = flagEntries(flags)
  const width = Math.max(...rows.map(({ head }) => head.length), 0)
  return rows.map(({ head, summary }) => `${head.padEnd(width + 3)}${summary}`)
}

/** How each flag is written, and what it does, sorted by name. */
export function flagEntries(
  flags: Flags,
): readonly { readonly head: string; readonly summary: string }[] {
  return Object.entries(flags)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, flag]) => ({ head: flagHead(name, flag), summary: flagSummary(flag) }))
}

function flagHead(name: string, flag: Flag<unknown>): string {
  const short = flag.short === undefined ? '      ' : `  -${flag.short}, `
  return `${short}--${name}${flag.takes === '' ? '' : ` ${flag.takes}`}`
}

function flagSummary(flag: Flag<unknown>): string {
  return flag.shown === '' ? flag.summary : `${flag.summary} (default ${flag.shown})`
}
