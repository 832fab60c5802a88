// Manual pages, one a command and one for the program, made from the command objects. Written at packaging
// (cli/package-files.ts), never committed.
import type { Command } from './command.ts'
import { globalFlags } from './global-flags.ts'
import { groups, plainCommands } from './registry.ts'
import { flagEntries } from './render/help.ts'
import { aliasesOf } from './run-cli.ts'

export interface ManPage {
  /** `tsswarm-service-create.1` */
  readonly file: string
  readonly text: string
}

/** All pages. `version` and `date` (YYYY-MM-DD) stand in the foot of each. */
export async function manPages(version: string, date: string): Promise<readonly ManPage[]> {
  const pages: ManPage[] = []
  const head = (name: string): string =>
    `.TH ${name.toUpperCase().replaceAll(' ', '\\-')} 1 "${date}" "tsswarm ${version}" "tsswarm"`
  for (const group of groups) {
    for (const [verb, load] of Object.entries(group.commands)) {
      const command = await load()
      pages.push(pageOf(head(`tsswarm ${command.name}`), command, aliasesOf(group, verb)))
    }
  }
  for (const plain of plainCommands) {
    const command = await plain.load()
    pages.push(pageOf(head(`tsswarm ${command.name}`), command, []))
  }
  return [{ file: 'tsswarm.1', text: await programPage(head('tsswarm')) }, ...pages]
}

function pageOf(head: string, command: Command, aliases: readonly string[]): ManPage {
  const dashed = `tsswarm-${command.name.replaceAll(' ', '-')}`
  const shape = [
    bold(`tsswarm ${command.name}`),
    Object.keys(command.flags).length > 0 ? '[\\fIOPTIONS\\fR]' : '',
    escaped(command.args.usage),
  ]
  const parts = [
    head,
    '.SH NAME',
    `${escaped(dashed)} \\- ${escaped(command.summary)}`,
    '.SH SYNOPSIS',
    shape.filter((part) => part !== '').join(' '),
    '.SH DESCRIPTION',
    ...paragraphs(command.description ?? `${command.summary}.`),
  ]
  if (aliases.length > 0)
    parts.push('.PP', `Also: ${aliases.map((a) => bold(`tsswarm ${a}`)).join(', ')}`)
  if (Object.keys(command.flags).length > 0) parts.push('.SH OPTIONS', ...options(command.flags))
  parts.push('.SH EXAMPLES')
  for (const { what, command: line } of command.examples) {
    parts.push(
      '.TP',
      escaped(what),
      ...line.split('\n').flatMap((one, at) => [...(at > 0 ? ['.br'] : []), bold(one)]),
    )
  }
  parts.push('.SH SEE ALSO', '\\fBtsswarm\\fR(1)')
  return { file: `${dashed}.1`, text: `${parts.join('\n')}\n` }
}

async function programPage(head: string): Promise<string> {
  const parts = [
    head,
    '.SH NAME',
    'tsswarm \\- run replicated services in containers on a cluster of hosts',
    '.SH SYNOPSIS',
    `${bold('tsswarm')} [\\fIOPTIONS\\fR] \\fICOMMAND\\fR`,
    '.SH DESCRIPTION',
    'A cluster manager in the words of Docker Swarm. Each command has a page of its own.',
    '.SH OPTIONS',
    ...options(globalFlags),
    '.SH COMMANDS',
  ]
  for (const group of groups) {
    for (const load of Object.values(group.commands)) parts.push(...entry(await load()))
  }
  for (const plain of plainCommands) parts.push(...entry(await plain.load()))
  parts.push(
    '.SH EXIT STATUS',
    ...[
      '0: success',
      '1: the operation failed',
      '125: the command line could not be understood',
    ].flatMap((line) => [escaped(line), '.br']),
    '130: interrupted',
    '.SH FILES',
    '.TP',
    bold(globalFlags.host.shown.split(',')[0] ?? ''),
    'the socket of the daemon; TSSWARM_HOST names another',
    '.TP',
    bold('/etc/tsswarm/daemon.yaml'),
    'settings of the daemon, as the package installs it',
  )
  return `${parts.join('\n')}\n`
}

function entry(command: Command): readonly string[] {
  return [
    '.TP',
    `\\fBtsswarm\\-${escaped(command.name.replaceAll(' ', '-'))}\\fR(1)`,
    escaped(command.summary),
  ]
}

function options(flags: Command['flags']): readonly string[] {
  return flagEntries(flags).flatMap(({ head, summary }) => [
    '.TP',
    bold(head.trim()),
    escaped(summary),
  ])
}

function paragraphs(text: string): readonly string[] {
  return text
    .split('\n\n')
    .flatMap((one, at) => [...(at > 0 ? ['.PP'] : []), ...one.split('\n').map(escaped)])
}

function bold(text: string): string {
  return `\\fB${escapedInline(text)}\\fR`
}

/** A line of text: never taken for a request of the formatter. */
function escaped(text: string): string {
  const inline = escapedInline(text)
  return /^[.']/.test(inline) ? `\\&${inline}` : inline
}

function escapedInline(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('`', '\\(ga')
    .replaceAll(/[^\x20-\x7e]/gu, named)
}

/** A character as the formatter reads it whatever it takes the encoding for. */
function named(character: string): string {
  const code = character.codePointAt(0) ?? 0
  return `\\[u${code.toString(16).toUpperCase().padStart(4, '0')}]`
}
