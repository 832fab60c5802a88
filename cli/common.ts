// What several commands share: flags of listings, filters, working through several arguments.

import { SwarmError } from '../proto/errors.ts'
import type { NodeView, ServiceView } from '../proto/gen/tsswarm/v1/control.ts'
import { ControlService, type Filter } from '../proto/gen/tsswarm/v1/control.ts'
import type { Client } from './client.ts'
import type { CommandContext } from './context.ts'
import { bool, list, text } from './flags.ts'
import { usage } from './parse-args.ts'

export const formatHelp = "Format output: 'table', 'table TEMPLATE', 'json', or a Go template a row"

export const listFlags = {
  filter: list('Filter output based on conditions provided (key=value)', {
    short: 'f',
    takes: 'filter',
  }),
  format: text(formatHelp),
  quiet: bool('Only display IDs', { short: 'q' }),
}

export const serviceFilters: readonly string[] = [
  ...['id=', 'name=', 'label=', 'mode=replicated', 'mode=global'],
  ...['mode=replicated-job', 'mode=global-job', 'mode=cron'],
]

export const taskFilters: readonly string[] = [
  ...['id=', 'name=', 'label=', 'desired-state=running'],
  ...['desired-state=shutdown', 'desired-state=accepted'],
]

/** The same, whose filters the shell completes. */
export function listFlagsBy(...filters: readonly string[]) {
  return { ...listFlags, filter: { ...listFlags.filter, completes: filters } }
}

export const inspectFlags = {
  format: text("Format output: 'json', or a Go template an object", { short: 'f' }),
  pretty: bool('Print the information in a human friendly format'),
}

/** `key=value` flags as filters; values of one key are alternatives. Errors: USAGE. */
export function parseFilters(items: readonly string[]): readonly Filter[] {
  const values = new Map<string, string[]>()
  for (const item of items) {
    const equals = item.indexOf('=')
    if (equals < 1) throw usage(`bad format of filter "${item}": write key=value`)
    const key = item.slice(0, equals).trim().toLowerCase()
    values.set(key, [...(values.get(key) ?? []), item.slice(equals + 1)])
  }
  return [...values].map(([key, alternatives]) => ({ key, values: alternatives }))
}

/** The filters with the id of this host's node for `node=self`. */
export async function withOwnNode(
  client: Client,
  filters: readonly Filter[],
): Promise<readonly Filter[]> {
  const isOwn = ({ key, values }: Filter): boolean => key === 'node' && values.includes('self')
  if (!filters.some(isOwn)) return filters
  const { node } = await getNode(client, 'self')
  const ownId = node?.id ?? ''
  return filters.map((filter) =>
    isOwn(filter)
      ? { ...filter, values: filter.values.map((value) => (value === 'self' ? ownId : value)) }
      : filter,
  )
}

/** Errors: USAGE when an inspect is asked for both of its layouts. */
export function checkInspectFlags(flags: {
  readonly format: string | undefined
  readonly pretty: boolean
}): void {
  if (flags.pretty && flags.format !== undefined) {
    throw usage('--format is incompatible with --pretty: give one of them')
  }
}

/**
 * Does something for each argument. An argument that fails does not keep the others from their turn: its error goes
 * to stderr and the exit code becomes 1.
 */
export async function forEachArgument(
  ctx: CommandContext,
  args: readonly string[],
  run: (argument: string) => Promise<void>,
): Promise<number> {
  let failures = 0
  for (const argument of args) {
    try {
      await run(argument)
    } catch (err) {
      if (!(err instanceof SwarmError) || ctx.signal.aborted || args.length === 1) throw err
      failures += 1
      ctx.stderr.write(`Error: ${err.message}\n`)
    }
  }
  return failures === 0 ? 0 : 1
}

/** A file of the user that cannot be used: `cannot read x.tar: no such file or directory`. No matter of how the command was written. */
export function fileError(what: string, err: unknown): SwarmError {
  const text = err instanceof Error ? err.message : String(err)
  const words = text.replace(/^[A-Z0-9]+: /, '').replace(/, \w+(?: '.*')?$/, '')
  return new SwarmError('INVALID_ARGUMENT', `${what}: ${words}`, { cause: err })
}

/** Errors: NOT_FOUND, AMBIGUOUS. */
export async function getService(client: Client, reference: string): Promise<ServiceView> {
  const { service } = await client.call(ControlService.getService, { reference })
  if (service?.service === undefined) throw incomplete('service')
  return service
}

/** "self" is this host's node. Errors: NOT_FOUND, AMBIGUOUS. */
export async function getNode(client: Client, reference: string): Promise<NodeView> {
  const { node } = await client.call(ControlService.getNode, { reference })
  if (node?.node === undefined) throw incomplete('node')
  return node
}

/** A part that every daemon sends was not there. */
export function incomplete(what: string): SwarmError {
  return new SwarmError('INTERNAL', `the daemon's answer has no ${what}: is it of another version?`)
}

/** Warnings of the daemon, on stderr. */
export function printWarnings(ctx: CommandContext, warnings: readonly string[]): void {
  for (const warning of warnings) ctx.stderr.write(`Warning: ${warning}\n`)
}
