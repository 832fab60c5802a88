// Finding the object a user means: full id, then exact name, then unambiguous beginning of an id. Not for filters.
import { SwarmError } from '../../proto/errors.ts'
import { suggestion } from '../../proto/lib/suggest.ts'
import {
  isActive,
  type Network,
  type Node,
  type Payload,
  type Service,
  type Task,
} from '../../proto/objects/index.ts'
import type { PayloadKind } from '../../proto/spec/payload-spec.ts'
import type { ReadTx } from '../store/store.ts'
import { payloadTables, versionsOf } from './payload-use.ts'

/** Errors: NOT_FOUND, AMBIGUOUS, INVALID_ARGUMENT. "self" is `selfId`. */
export function findNode(tx: ReadTx, reference: string, selfId: string): Node {
  checkReference('node', reference)
  if (reference === 'self') return tx.get('nodes', selfId) ?? notFound('node', reference)
  const byId = tx.get('nodes', reference)
  if (byId !== undefined) return byId
  const named = [...tx.find('nodes', 'byName', reference.toLowerCase())]
  const nameOf = (node: Node): string => node.description?.hostname ?? ''
  return only('node', reference, named) ?? byPrefix('node', reference, tx.all('nodes'), nameOf)
}

/** Errors: NOT_FOUND, AMBIGUOUS, INVALID_ARGUMENT. */
export function findService(tx: ReadTx, reference: string): Service {
  checkReference('service', reference)
  const byId = tx.get('services', reference)
  if (byId !== undefined) return byId
  const named = [...tx.find('services', 'byName', reference.toLowerCase())]
  return (
    only('service', reference, named) ??
    byPrefix('service', reference, tx.all('services'), specName)
  )
}

/** Errors: NOT_FOUND, AMBIGUOUS, INVALID_ARGUMENT. */
export function findNetwork(tx: ReadTx, reference: string): Network {
  checkReference('network', reference)
  const byId = tx.get('networks', reference)
  if (byId !== undefined) return byId
  const named = [...tx.find('networks', 'byName', reference.toLowerCase())]
  return (
    only('network', reference, named) ??
    byPrefix('network', reference, tx.all('networks'), specName)
  )
}

/**
 * A task by id, by "service.slot" (the slot's live task, else its newest), by "service.slot.id", by the same with the node's id for tasks
 * without slot, or by the beginning of an id. Errors: NOT_FOUND, AMBIGUOUS, INVALID_ARGUMENT.
 */
export function findTask(tx: ReadTx, reference: string): Task {
  checkReference('task', reference)
  const byId = tx.get('tasks', reference)
  if (byId !== undefined) return byId
  return findTaskByName(tx, reference) ?? byPrefix('task', reference, tx.all('tasks'))
}

/** One version: by its id, the present one by name, by the beginning of an id. Errors: NOT_FOUND, AMBIGUOUS, INVALID_ARGUMENT. */
export function findPayload(tx: ReadTx, kind: PayloadKind, reference: string): Payload {
  checkReference(kind, reference)
  const table = payloadTables[kind]
  const [present] = versionsOf(tx, table, reference)
  return (
    tx.get(table, reference) ??
    present ??
    byPrefix<Payload>(kind, reference, tx.all(table), specName)
  )
}

function findTaskByName(tx: ReadTx, reference: string): Task | undefined {
  // Names of services may hold dots.
  const parts = reference.split('.')
  const tasks = tasksNamed(tx, parts.slice(0, -1), parts.at(-1))
  if (tasks.length > 0) {
    const newestFirst = tasks.sort((a, b) => b.createdAtMs - a.createdAtMs || b.version - a.version)
    return newestFirst.find(isActive) ?? newestFirst[0]
  }
  const id = parts.at(-1) ?? ''
  const ofPlace = tasksNamed(tx, parts.slice(0, -2), parts.at(-2))
  const matches = id === '' ? [] : ofPlace.filter((task) => task.id.startsWith(id))
  return only('task', reference, matches)
}

/** Of a slot, or of a node for tasks without slot. */
function tasksNamed(tx: ReadTx, name: readonly string[], place: string | undefined): Task[] {
  const [service] = tx.find('services', 'byName', name.join('.').toLowerCase())
  if (service === undefined || place === undefined) return []
  return [...tx.find('tasks', 'bySlot', `${service.id}/${place}`)]
}

function checkReference(noun: string, reference: string): void {
  if (reference !== '') return
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `no ${noun} is named: give its id, its name or the beginning of its id`,
  )
}

function byPrefix<T extends { readonly id: string }>(
  noun: string,
  reference: string,
  rows: Iterable<T>,
  nameOf?: (row: T) => string,
): T {
  const matches: T[] = []
  const names = new Set<string>()
  for (const row of rows) {
    if (row.id.startsWith(reference)) matches.push(row)
    if (nameOf !== undefined && names.size < namesMax) names.add(nameOf(row))
  }
  return only(noun, reference, matches) ?? notFound(noun, reference, [...names])
}

/** More names than these are not compared with a mistyped one. */
const namesMax = 5_000

function specName({ spec }: { readonly spec: { readonly name: string } }): string {
  return spec.name
}

function only<T>(noun: string, reference: string, matches: readonly T[]): T | undefined {
  if (matches.length <= 1) return matches[0]
  throw new SwarmError(
    'AMBIGUOUS',
    `${noun} ${reference} is ambiguous (${matches.length} matches found): give its full id`,
    { details: { noun, reference, matches: matches.length } },
  )
}

/** Always throws NOT_FOUND. `names`: those there are, of which the nearest is proposed. */
export function notFound(noun: string, reference: string, names: readonly string[] = []): never {
  const near = suggestion(reference, names)
  throw new SwarmError(
    'NOT_FOUND',
    `${noun} "${reference}" not found${near === undefined ? '' : ` (did you mean "${near}"?)`}: "tsswarm ${noun === 'task' ? 'service ps' : `${noun} ls`}" lists what there is`,
    { details: { noun, reference } },
  )
}

/** For what may be a service or a task: `web`, `web.1`, an id; the nearest service, with the rest of the name, is proposed. */
export function noSuchTarget(tx: ReadTx, reference: string, cause: unknown): SwarmError {
  const names: string[] = []
  for (const { spec } of tx.all('services')) {
    if (names.length === namesMax) break
    names.push(spec.name)
  }
  const dot = reference.lastIndexOf('.')
  const ofHead = dot < 0 ? undefined : suggestion(reference.slice(0, dot), names)
  const near = ofHead === undefined ? suggestion(reference, names) : ofHead + reference.slice(dot)
  const hint = near === undefined || near === reference ? '' : ` (did you mean ${near}?)`
  return new SwarmError(
    'NOT_FOUND',
    `no such task or service: ${reference}${hint}: see \`tsswarm service ls\` for what there is`,
    { cause },
  )
}
