// Secrets and configs in the store: their versions, and which services and tasks have them.
import {
  isActive,
  isTerminal,
  type Payload,
  payloadsOf,
  type Service,
  type Task,
} from '../../proto/objects/index.ts'
import type { PayloadKind } from '../../proto/spec/payload-spec.ts'
import type { ServiceSpec } from '../../proto/spec/service-spec.ts'
import type { ReadTx } from '../store/store.ts'

export type PayloadTable = 'secrets' | 'configs'

export const payloadTables: Readonly<Record<PayloadKind, PayloadTable>> = {
  secret: 'secrets',
  config: 'configs',
}

/** Of that name in any case, the present one first. */
export function versionsOf(tx: ReadTx, table: PayloadTable, name: string): readonly Payload[] {
  const found = [...tx.find(table, 'byName', name.toLowerCase())]
  return found.sort((a, b) => b.revision - a.revision)
}

/** Whether no later one of its name is there. */
export function isPresent(tx: ReadTx, table: PayloadTable, { spec, id }: Payload): boolean {
  return versionsOf(tx, table, spec.name)[0]?.id === id
}

/** Services whose present spec has one of them. O(task specs + these services). */
export function servicesWith(
  tx: ReadTx,
  kind: PayloadKind,
  ids: ReadonlySet<string>,
): readonly Service[] {
  return specsWith(tx, kind, ids).flatMap((hash) => [...tx.find('services', 'bySpec', hash)])
}

/** Tasks with one of them that have not ended. O(task specs + tasks with these specs). */
export function* tasksWith(
  tx: ReadTx,
  kind: PayloadKind,
  ids: ReadonlySet<string>,
): Iterable<Task> {
  for (const hash of specsWith(tx, kind, ids)) {
    for (const task of tx.find('tasks', 'bySpec', hash)) {
      const isOpen = task.nodeId !== undefined || isActive(task)
      if (isOpen && !isTerminal(task.state)) yield task
    }
  }
}

/** Whether a task has it, or a spec that may come back. O(task specs + services). */
export function isNeeded(tx: ReadTx, kind: PayloadKind, { id }: Payload): boolean {
  const ids = new Set<string>([id])
  if (servicesWith(tx, kind, ids).length > 0) return true
  for (const _ of tasksWith(tx, kind, ids)) return true
  for (const { previousSpec } of tx.all('services')) {
    if (previousSpec !== undefined && names(previousSpec.task, kind, ids)) return true
  }
  return false
}

function specsWith(tx: ReadTx, kind: PayloadKind, ids: ReadonlySet<string>): readonly string[] {
  const hashes: string[] = []
  for (const { hash, spec } of tx.all('taskSpecs')) if (names(spec, kind, ids)) hashes.push(hash)
  return hashes
}

function names(
  { container }: ServiceSpec['task'],
  kind: PayloadKind,
  ids: ReadonlySet<string>,
): boolean {
  return payloadsOf(container).some((use) => use.kind === kind && ids.has(use.source))
}
