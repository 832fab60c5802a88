// Writes <-> protobuf, for entries and snapshots alike. One line a table.
import { accessFromProto, accessToProto } from '../../proto/codec/access.ts'
import { clusterFromProto, clusterToProto } from '../../proto/codec/cluster.ts'
import { networkFromProto, networkToProto } from '../../proto/codec/network.ts'
import {
  nodeFromProto,
  nodeToProto,
  removedNodeFromProto,
  removedNodeToProto,
} from '../../proto/codec/node.ts'
import { payloadFromProto, payloadToProto } from '../../proto/codec/payload.ts'
import { registryLoginsFromProto, registryLoginsToProto } from '../../proto/codec/registry-login.ts'
import {
  serviceFromProto,
  serviceToProto,
  taskSpecRecordFromProto,
  taskSpecRecordToProto,
} from '../../proto/codec/service.ts'
import { stackRevisionFromProto, stackRevisionToProto } from '../../proto/codec/stack.ts'
import { taskFromProto, taskToProto } from '../../proto/codec/task.ts'
import { SwarmError } from '../../proto/errors.ts'
import type { StoreChange, StoreRequest } from '../../proto/gen/tsswarm/v1/store.ts'
import type { RequestResult, Write } from './state.ts'
import { idOf, type Row, type TableName, tables } from './tables.ts'

export function writeToProto(write: Write): StoreChange {
  const { table, id } = write
  if (write.row === undefined) return { kind: { $case: 'removed', value: { table, id } } }
  switch (write.table) {
    case 'cluster':
      return { kind: { $case: 'cluster', value: clusterToProto(write.row) } }
    case 'nodes':
      return { kind: { $case: 'node', value: nodeToProto(write.row) } }
    case 'services':
      return { kind: { $case: 'service', value: serviceToProto(write.row) } }
    case 'taskSpecs':
      return { kind: { $case: 'taskSpec', value: taskSpecRecordToProto(write.row) } }
    case 'tasks':
      return { kind: { $case: 'task', value: taskToProto(write.row) } }
    case 'removedNodes':
      return { kind: { $case: 'removedNode', value: removedNodeToProto(write.row) } }
    case 'networks':
      return { kind: { $case: 'network', value: networkToProto(write.row) } }
    case 'secrets':
      return { kind: { $case: 'secret', value: payloadToProto(write.row) } }
    case 'configs':
      return { kind: { $case: 'config', value: payloadToProto(write.row) } }
    case 'accesses':
      return { kind: { $case: 'access', value: accessToProto(write.row) } }
    case 'stackRevisions':
      return { kind: { $case: 'stackRevision', value: stackRevisionToProto(write.row) } }
    case 'registryLogins':
      return { kind: { $case: 'registryLogins', value: registryLoginsToProto(write.row) } }
  }
}

/** Errors: DATA_LOSS for what this program cannot read. */
export function writeFromProto({ kind }: StoreChange, intern: Intern): Write {
  switch (kind?.$case) {
    case 'cluster':
      return put('cluster', clusterFromProto(kind.value))
    case 'node':
      return put('nodes', nodeFromProto(kind.value))
    case 'service':
      return put('services', serviceFromProto(kind.value))
    case 'taskSpec':
      return put('taskSpecs', taskSpecRecordFromProto(kind.value))
    case 'task':
      return put('tasks', taskFromProto(kind.value, intern))
    case 'removedNode':
      return put('removedNodes', removedNodeFromProto(kind.value))
    case 'network':
      return put('networks', networkFromProto(kind.value))
    case 'secret':
      return put('secrets', payloadFromProto(kind.value))
    case 'config':
      return put('configs', payloadFromProto(kind.value))
    case 'access':
      return put('accesses', accessFromProto(kind.value))
    case 'stackRevision':
      return put('stackRevisions', stackRevisionFromProto(kind.value))
    case 'registryLogins':
      return put('registryLogins', registryLoginsFromProto(kind.value))
    case 'removed':
      return { table: tableNamed(kind.value.table), id: kind.value.id, row: undefined } as Write
    case undefined:
      throw unreadable('a change of an unknown kind')
  }
}

/** The write that puts a row. */
export function put<T extends TableName>(table: T, row: Row<T>): Write {
  return { table, id: idOf(table, row), row } as unknown as Write
}

export function requestToProto(request: RequestResult, atMs: number): StoreRequest {
  return { id: request.id, method: request.method, resultJson: request.resultJson ?? '', atMs }
}

export function requestFromProto(proto: StoreRequest): RequestResult {
  const { id, method, resultJson } = proto
  return { id, method, resultJson: resultJson === '' ? undefined : resultJson }
}

export type Intern = (text: string) => string

/**
 * Returns the same string for equal texts, so that a million tasks hold each id, hash and message once.
 * Remembers up to 200,000 texts, then starts afresh.
 */
export function createIntern(): Intern {
  const known = new Map<string, string>()
  return (text) => {
    const found = known.get(text)
    if (found !== undefined) return found
    if (known.size >= 200_000) known.clear()
    known.set(text, text)
    return text
  }
}

/** What was committed cannot be read: this program is too old, or the data is damaged. */
export function unreadable(what: string, cause?: unknown): SwarmError {
  const text = `the store's data cannot be read (${what}): upgrade tsswarm on this manager, or restore its data`
  return new SwarmError('DATA_LOSS', text, { cause })
}

function tableNamed(name: string): TableName {
  if (Object.hasOwn(tables, name)) return name as TableName
  throw unreadable(`a change of unknown table "${name}"`)
}
