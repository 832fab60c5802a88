// The tables of the store as data: keys, indexes, names. Everything that works on all tables
// (query, apply, snapshot, watch) is driven by this; to add a table, add it here and to store.proto.
import {
  type Access,
  type Cluster,
  type Network,
  type Node,
  type Payload,
  type RegistryLogins,
  type RemovedNode,
  type Service,
  type StackRevision,
  stackRevisionId,
  type Task,
  type TaskSpecRecord,
} from '../../proto/objects/index.ts'

export interface Rows {
  readonly cluster: Cluster
  readonly nodes: Node
  readonly services: Service
  readonly taskSpecs: TaskSpecRecord
  readonly tasks: Task
  readonly removedNodes: RemovedNode
  readonly networks: Network
  readonly secrets: Payload
  readonly configs: Payload
  readonly accesses: Access
  readonly stackRevisions: StackRevision
  readonly registryLogins: RegistryLogins
}

export type TableName = keyof Rows
export type Row<T extends TableName> = Rows[T]
/** Tables whose rows carry a version, and are updated under it. */
export type VersionedTable =
  | 'cluster'
  | 'nodes'
  | 'services'
  | 'tasks'
  | 'networks'
  | 'secrets'
  | 'configs'
  | 'stackRevisions'

/**
 * A derived look-up. `of` names all fields that `key` reads, so that a change of other fields costs nothing.
 * A row without a key is not in the index.
 */
interface IndexDef<R> {
  readonly of: readonly (keyof R)[]
  readonly key: (row: R) => string | undefined
  /** Two rows with one key are a NAME_CONFLICT. */
  readonly unique?: boolean
}

interface TableDef<R> {
  /** In messages. */
  readonly noun: string
  readonly id: (row: R) => string
  readonly versioned: boolean
  /** What a user knows the row by. */
  readonly label: (row: R) => string
  readonly indexes: Readonly<Record<string, IndexDef<R>>>
}

const payloadIndexes = {
  /** By lower-case name; each version is a row. */
  byName: { of: ['spec'], key: (row: Payload) => row.spec.name.toLowerCase() },
  /** By `${lower-case name}/${revision}`. */
  byRevision: {
    of: ['spec', 'revision'],
    key: (row: Payload) => `${row.spec.name.toLowerCase()}/${row.revision}`,
    unique: true,
  },
} as const

export const tables = {
  cluster: {
    noun: 'cluster',
    id: (row: Cluster) => row.id,
    versioned: true,
    label: (row: Cluster) => row.spec.name,
    indexes: {},
  },
  nodes: {
    noun: 'node',
    id: (row: Node) => row.id,
    versioned: true,
    label: (row: Node) => row.description?.hostname ?? row.id,
    indexes: {
      /** By lower-case hostname; several nodes may share one. */
      byName: {
        of: ['description'],
        key: (row: Node) => row.description?.hostname.toLowerCase(),
      },
    },
  },
  services: {
    noun: 'service',
    id: (row: Service) => row.id,
    versioned: true,
    label: (row: Service) => row.spec.name,
    indexes: {
      /** By lower-case name. */
      byName: { of: ['spec'], key: (row: Service) => row.spec.name.toLowerCase(), unique: true },
      bySpec: { of: ['specHash'], key: (row: Service) => row.specHash },
      byMode: { of: ['spec'], key: (row: Service) => row.spec.mode.kind },
    },
  },
  taskSpecs: {
    noun: 'task spec',
    id: (row: TaskSpecRecord) => row.hash,
    versioned: false,
    label: (row: TaskSpecRecord) => row.hash,
    indexes: {},
  },
  tasks: {
    noun: 'task',
    id: (row: Task) => row.id,
    versioned: true,
    label: (row: Task) => row.id,
    indexes: {
      byService: { of: ['serviceId'], key: (row: Task) => row.serviceId },
      byNode: { of: ['nodeId'], key: (row: Task) => row.nodeId },
      /** By `${serviceId}/${slot}`, or the node's id of a task without slot. */
      bySlot: {
        of: ['serviceId', 'slot', 'forNodeId'],
        key: (row: Task) => `${row.serviceId}/${row.forNodeId ?? row.slot}`,
      },
      bySpec: { of: ['specHash'], key: (row: Task) => row.specHash },
      /** The few that were connected to a network while they ran. */
      byConnected: {
        of: ['attachments'],
        key: (row: Task) =>
          row.attachments.some(({ connection }) => connection !== undefined)
            ? 'connected'
            : undefined,
      },
    },
  },
  removedNodes: {
    noun: 'removed node',
    id: (row: RemovedNode) => row.id,
    versioned: false,
    label: (row: RemovedNode) => row.id,
    indexes: {},
  },
  networks: {
    noun: 'network',
    id: (row: Network) => row.id,
    versioned: true,
    label: (row: Network) => row.spec.name,
    indexes: {
      /** By lower-case name. */
      byName: { of: ['spec'], key: (row: Network) => row.spec.name.toLowerCase(), unique: true },
    },
  },
  secrets: {
    noun: 'secret',
    id: (row: Payload) => row.id,
    versioned: true,
    label: (row: Payload) => row.spec.name,
    indexes: payloadIndexes,
  },
  configs: {
    noun: 'config',
    id: (row: Payload) => row.id,
    versioned: true,
    label: (row: Payload) => row.spec.name,
    indexes: payloadIndexes,
  },
  accesses: {
    noun: 'access',
    id: (row: Access) => row.id,
    versioned: false,
    label: (row: Access) => row.id,
    indexes: {},
  },
  stackRevisions: {
    noun: 'revision of a stack',
    id: stackRevisionId,
    versioned: true,
    label: stackRevisionId,
    indexes: { byStack: { of: ['stack'], key: (row: StackRevision) => row.stack } },
  },
  /** By the id of the service. */
  registryLogins: {
    noun: 'registry login',
    id: (row: RegistryLogins) => row.serviceId,
    versioned: false,
    label: (row: RegistryLogins) => row.serviceId,
    indexes: {},
  },
} as const satisfies { readonly [T in TableName]: TableDef<Rows[T]> }

export type IndexName<T extends TableName> = Extract<keyof (typeof tables)[T]['indexes'], string>

export const tableNames = Object.keys(tables) as readonly TableName[]

/** The id of a row, in whatever field its table has it. */
export function idOf<T extends TableName>(table: T, row: Row<T>): string {
  return (tables[table].id as (row: Row<T>) => string)(row)
}
