// CreateSecret, GetSecret, ListSecrets, UpdateSecret, RemoveSecret, and the same of configs: one code for both kinds.
import { parsePayloadSpec, payloadToPublicProto } from '../../proto/codec/payload.ts'
import { SwarmError } from '../../proto/errors.ts'
import {
  type CreatePayloadRequest,
  type CreatePayloadResponse,
  type ListPayloadsRequest,
  type ListPayloadsResponse,
  PayloadView,
  type RemovePayloadRequest,
} from '../../proto/gen/tsswarm/v1/control.ts'
import { newId } from '../../proto/lib/ids.ts'
import { type Payload, payloadId, payloadsLevel } from '../../proto/objects/index.ts'
import type { PayloadKind } from '../../proto/spec/payload-spec.ts'
import type { ReadTx, Tx } from '../store/store.ts'
import type { ControlApi, ControlDeps } from './control-api.ts'
import { payloadFilter } from './filters.ts'
import { listMessages, type Page } from './list-stream.ts'
import { findPayload } from './lookup.ts'
import { isPresent, payloadTables, servicesWith, tasksWith, versionsOf } from './payload-use.ts'
import { requireLevel, requireTemplates } from './require-level.ts'
import { updatePayload } from './update-payload.ts'
import { repeatable } from './writing.ts'

type PayloadHandlers = Pick<
  ControlApi,
  | 'createSecret'
  | 'getSecret'
  | 'listSecrets'
  | 'updateSecret'
  | 'removeSecret'
  | 'createConfig'
  | 'getConfig'
  | 'listConfigs'
  | 'updateConfig'
  | 'removeConfig'
>

export function payloadHandlers(deps: ControlDeps): PayloadHandlers {
  const secret = handlersOf(deps, 'secret')
  const config = handlersOf(deps, 'config')
  return {
    createSecret: secret.create,
    getSecret: secret.get,
    listSecrets: secret.list,
    updateSecret: secret.update,
    removeSecret: secret.remove,
    createConfig: config.create,
    getConfig: config.get,
    listConfigs: config.list,
    updateConfig: config.update,
    removeConfig: config.remove,
  }
}

interface KindHandlers {
  readonly create: ControlApi['createSecret']
  readonly get: ControlApi['getSecret']
  readonly list: ControlApi['listSecrets']
  readonly update: ControlApi['updateSecret']
  readonly remove: ControlApi['removeSecret']
}

function handlersOf(deps: ControlDeps, kind: PayloadKind): KindHandlers {
  const { store, cluster } = deps
  return {
    create: async (_, request) => await createPayload(deps, kind, request),
    get: async (_, { reference }, signal) => {
      await cluster.readBarrier(signal)
      return store.view((tx) => ({
        payload: viewOf(tx, kind, findPayload(tx, kind, reference)),
      }))
    },
    list: (_, request, signal) => listPayloads(deps, kind, request, signal),
    update: async (_, request) => await updatePayload(deps, kind, request),
    remove: async (_, request) => ({ payloadId: await removePayload(deps, kind, request) }),
  }
}

async function createPayload(
  { store, random }: ControlDeps,
  kind: PayloadKind,
  request: CreatePayloadRequest,
): Promise<CreatePayloadResponse> {
  const table = payloadTables[kind]
  const spec = parsePayloadSpec(kind, request.spec)
  const id = payloadId(newId(random))
  // A repeat is answered with the first id.
  const made = await store.update(
    (tx) => {
      requireLevel(tx, payloadsLevel, `${kind} "${spec.name}"`, 'secrets and configs')
      requireTemplates(tx, kind, spec)
      refuseTakenName(tx, kind, spec.name)
      const row = { id, version: 0, createdAtMs: 0, updatedAtMs: 0, spec, revision: 1 }
      return tx.create(table, row).id
    },
    repeatable(request.requestId, `Create ${kind}`),
  )
  const payload = store.view((tx) => tx.get(table, made))
  return { payload: payload && payloadToPublicProto(kind, payload) }
}

function refuseTakenName(tx: ReadTx, kind: PayloadKind, name: string): void {
  const [taken] = versionsOf(tx, payloadTables[kind], name)
  if (taken === undefined) return
  const { name: other } = taken.spec
  throw new SwarmError(
    'NAME_CONFLICT',
    `${kind} ${name} already exists${other === name ? '' : ` ("${other}": names must differ by more than case)`}: ` +
      `give it other data with "tsswarm ${kind} update ${other} FILE", or choose another name`,
    { details: { name, id: taken.id } },
  )
}

function viewOf(tx: ReadTx, kind: PayloadKind, payload: Payload): PayloadView {
  const ids = new Set<string>([payload.id])
  return {
    payload: payloadToPublicProto(kind, payload),
    present: isPresent(tx, payloadTables[kind], payload),
    services: servicesWith(tx, kind, ids).map(({ spec }) => spec.name),
    tasks: [...tasksWith(tx, kind, ids)].length,
  }
}

/** Without data. Who uses them is counted only where all versions are asked for. */
async function* listPayloads(
  deps: ControlDeps,
  kind: PayloadKind,
  { filters, allVersions }: ListPayloadsRequest,
  signal: AbortSignal,
): AsyncGenerator<ListPayloadsResponse, void, undefined> {
  const table = payloadTables[kind]
  const passes = payloadFilter(table, filters)
  await deps.cluster.readBarrier(signal)
  const open = (): Page<Payload, ListPayloadsResponse> => {
    const payloads: PayloadView[] = []
    return {
      add: (tx, row) => {
        if (!passes(row) || (!allVersions && !isPresent(tx, table, row))) return 0
        const bare = { ...row, spec: { ...row.spec, data: new Uint8Array(0) } }
        const payload = payloadToPublicProto(kind, bare)
        const view = allVersions
          ? { ...viewOf(tx, kind, row), payload }
          : { payload, present: true, services: [], tasks: 0 }
        payloads.push(view)
        return PayloadView.encode(view).finish().length
      },
      message: () => ({ payloads }),
    }
  }
  yield* listMessages(deps, deps.store.rows(table), open, signal)
}

/** All versions of its name. Returns the id that was found. Errors: IN_USE. */
async function removePayload(
  { store }: ControlDeps,
  kind: PayloadKind,
  { reference, requestId }: RemovePayloadRequest,
): Promise<string> {
  const table = payloadTables[kind]
  return await store.update(
    (tx: Tx) => {
      const found = findPayload(tx, kind, reference)
      const versions = versionsOf(tx, table, found.spec.name)
      refuseUsed(tx, kind, versions)
      for (const { id } of versions) tx.remove(table, id)
      return found.id
    },
    repeatable(requestId, `Remove ${kind}`),
  )
}

/** As in Swarm, tasks that are about to end keep what they were given. */
function refuseUsed(tx: ReadTx, kind: PayloadKind, versions: readonly Payload[]): void {
  const ids = new Set<string>(versions.map(({ id }) => id))
  const users = servicesWith(tx, kind, ids).map(({ spec }) => spec.name)
  if (users.length === 0) return
  const name = versions[0]?.spec.name ?? ''
  const services = users.map((user) => `"${user}"`).sort()
  throw new SwarmError(
    'IN_USE',
    `${kind} "${name}" is in use by the following service${users.length === 1 ? '' : 's'}: ${services.join(', ')}. ` +
      `Take it from them with "tsswarm service update --${kind}-rm ${name} SERVICE", or remove them`,
    { details: { name, services: users.join(', ') } },
  )
}
