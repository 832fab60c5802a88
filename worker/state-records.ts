// The bytes of the agent's database: one record a line, `<crc32 in hex> <json>`. Not for when they are written (state-db.ts).
import { crc32 } from 'node:zlib'
import { z } from 'zod'
import { taskSpecFromProto, taskSpecToProto } from '../proto/codec/task-spec.ts'
import { TaskSpec } from '../proto/gen/tsswarm/v1/objects.ts'
import {
  type AssignedTask,
  isTaskState,
  networkId,
  payloadId,
  serviceId,
  specHash,
  type TaskAttachment,
  type TaskSpecRecord,
  TaskState,
  type TaskStatus,
  taskId,
} from '../proto/objects/index.ts'

/** Where a manager is reached. */
export interface ManagerAddress {
  readonly nodeId: string
  /** host:port of the control API. */
  readonly address: string
}

const state = z.number().transform((value) => (isTaskState(value) ? value : TaskState.NEW))
const attachment = z.object({
  networkId: z.string().transform(networkId),
  addresses: z.array(z.string()),
  connection: z
    .object({
      phase: z.enum(['asked', 'connected', 'leaving', 'drained', 'failed']),
      aliases: z.array(z.string()),
      wished: z.array(z.string()),
      err: z.string(),
    })
    .optional(),
})
const task = z.object({
  id: z.string().transform(taskId),
  serviceId: z.string().transform(serviceId),
  serviceName: z.string(),
  slot: z.number(),
  isForNode: z.boolean().default(false),
  specHash: z.string().transform(specHash),
  desiredState: state,
  state,
  serviceLabels: z.record(z.string(), z.string()),
  /** A record of before networks has none. */
  attachments: z.array(attachment.transform(withoutUndefined)).default([]),
  generic: z
    .array(z.object({ kind: z.string(), count: z.number(), names: z.array(z.string()) }))
    .default([]),
  isDrained: z.boolean().default(false),
  /** An id alone: credentials are in memory only (payload-store.ts). */
  registryLoginId: z.string().transform(payloadId).optional(),
})
/** As protobuf, which a later version reads although its rules for users may have changed. */
const spec = z.object({
  hash: z.string().transform(specHash),
  spec: z
    .string()
    .transform((text) => taskSpecFromProto(TaskSpec.decode(Buffer.from(text, 'base64')))),
})
const status = z.object({
  taskId: z.string().transform(taskId),
  state,
  atMs: z.number(),
  message: z.string(),
  err: z.string(),
  containerId: z.string(),
  pid: z.number(),
  exitCode: z
    .number()
    .optional()
    .transform((code) => code),
  hostPorts: z.array(z.string()),
  /** A record of before connections has none. */
  connections: z
    .array(
      z.object({
        networkId: z.string().transform(networkId),
        addresses: z.array(z.string()),
        state: z.enum(['connected', 'gone', 'failed']),
        err: z.string(),
      }),
    )
    .default([]),
  health: z
    .object({
      state: z.enum(['starting', 'healthy', 'unhealthy']),
      failures: z.number(),
      failedAtMs: z.number(),
      output: z.string(),
    })
    .optional(),
})

/** zod types an absent connection as an optional property that may be undefined. */
function withoutUndefined({ connection, ...rest }: z.infer<typeof attachment>): TaskAttachment {
  return connection === undefined ? rest : { ...rest, connection }
}

const record = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('assigned'),
    /** Whether it replaces everything before. */
    whole: z.boolean(),
    stamp: z.object({ epoch: z.number(), index: z.number() }).optional(),
    update: z.array(task),
    remove: z.array(z.string().transform(taskId)),
    specs: z.array(spec),
  }),
  z.object({ kind: z.literal('statuses'), statuses: z.array(status) }),
  z.object({ kind: z.literal('forgotten'), ids: z.array(z.string().transform(taskId)) }),
  z.object({
    kind: z.literal('managers'),
    managers: z.array(z.object({ nodeId: z.string(), address: z.string() })),
  }),
])

export type StateRecord =
  | {
      readonly kind: 'assigned'
      readonly whole: boolean
      readonly stamp?: { readonly epoch: number; readonly index: number } | undefined
      readonly update: readonly AssignedTask[]
      readonly remove: readonly AssignedTask['id'][]
      readonly specs: readonly TaskSpecRecord[]
    }
  | { readonly kind: 'statuses'; readonly statuses: readonly TaskStatus[] }
  | { readonly kind: 'forgotten'; readonly ids: readonly AssignedTask['id'][] }
  | { readonly kind: 'managers'; readonly managers: readonly ManagerAddress[] }

/** One line, its end included. */
export function encodeRecord(value: StateRecord): Buffer {
  const plain = value.kind === 'assigned' ? { ...value, specs: value.specs.map(plainSpec) } : value
  const json = Buffer.from(JSON.stringify(plain))
  return Buffer.concat([Buffer.from(`${checksum(json)} `), json, Buffer.from('\n')])
}

function plainSpec({ hash, spec }: TaskSpecRecord): {
  readonly hash: string
  readonly spec: string
} {
  const bytes = TaskSpec.encode(taskSpecToProto(spec)).finish()
  return { hash, spec: Buffer.from(bytes).toString('base64') }
}

export interface DecodedRecords {
  readonly records: readonly StateRecord[]
  /** False when something after the last whole record had to be left out: a torn write or damage. */
  readonly isIntact: boolean
}

/** The records up to the first that is not whole. */
export function decodeRecords(data: Uint8Array): DecodedRecords {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  const records: StateRecord[] = []
  let start = 0
  while (start < bytes.length) {
    const end = bytes.indexOf(10, start)
    const parsed = end < 0 ? undefined : decodeLine(bytes.subarray(start, end))
    if (parsed === undefined) return { records, isIntact: false }
    records.push(parsed)
    start = end + 1
  }
  return { records, isIntact: true }
}

function decodeLine(line: Buffer): StateRecord | undefined {
  const json = line.subarray(9)
  if (line.length < 10 || line.toString('latin1', 0, 8) !== checksum(json)) return undefined
  const parsed = parseRecord(json)
  if (!parsed?.success) return undefined
  // zod types an absent exit code or health as an optional property; a status always has the property.
  if (parsed.data.kind !== 'statuses') return parsed.data
  const statuses = parsed.data.statuses.map((item) => ({
    ...item,
    exitCode: item.exitCode,
    health: item.health,
  }))
  return { kind: 'statuses', statuses }
}

function parseRecord(json: Buffer): ReturnType<typeof record.safeParse> | undefined {
  try {
    return record.safeParse(JSON.parse(json.toString()))
  } catch {
    // A spec of a version that this program does not understand: as good as damaged.
    return undefined
  }
}

function checksum(bytes: Uint8Array): string {
  return crc32(bytes).toString(16).padStart(8, '0')
}
