// UpdateSecret and UpdateConfig: other labels in place, other data as a new version that the services which had an earlier one get.
import { parsePayloadSpec, payloadToPublicProto } from '../../proto/codec/payload.ts'
import { SwarmError } from '../../proto/errors.ts'
import type {
  UpdatePayloadRequest,
  UpdatePayloadResponse,
} from '../../proto/gen/tsswarm/v1/control.ts'
import type { PayloadSpec as PayloadSpecProto } from '../../proto/gen/tsswarm/v1/objects.ts'
import { newId } from '../../proto/lib/ids.ts'
import { type Payload, payloadId, type Service } from '../../proto/objects/index.ts'
import type { PayloadKind, PayloadSpec, PayloadUse } from '../../proto/spec/payload-spec.ts'
import type { ServiceSpec } from '../../proto/spec/service-spec.ts'
import type { Tx } from '../store/store.ts'
import type { ControlDeps } from './control-api.ts'
import { findPayload } from './lookup.ts'
import { payloadTables, servicesWith, versionsOf } from './payload-use.ts'
import { reapVersions } from './reap-versions.ts'
import { keepLogins } from './registry-logins.ts'
import { requireTemplates } from './require-level.ts'
import { withSpec } from './roll-back.ts'
import { checkVersion, repeatable } from './writing.ts'

/** Of one transaction: each writes a service and its task spec. */
const servicesMax = 20

export async function updatePayload(
  { store, random }: ControlDeps,
  kind: PayloadKind,
  request: UpdatePayloadRequest,
): Promise<UpdatePayloadResponse> {
  const table = payloadTables[kind]
  const freshId = payloadId(newId(random))
  // A repeat is answered with the first id, and goes on where the first attempt was cut off.
  const id = await store.update(
    (tx) => {
      const { spec } = findPayload(tx, kind, request.reference)
      const [present] = versionsOf(tx, table, spec.name)
      if (present === undefined) return ''
      const { version } = request
      if (version !== 0) checkVersion(`${kind} "${spec.name}"`, version, present.version)
      return written(tx, { kind, present, freshId }, request.spec).id
    },
    repeatable(request.requestId, `Update ${kind}`),
  )
  const services: string[] = []
  for (let isOver = false; !isOver; ) {
    const names = await store.update((tx) => handOn(tx, kind, id))
    services.push(...names)
    isOver = names.length < servicesMax
  }
  await store.update((tx) => reapVersions(tx, kind, tx.get(table, id)?.spec.name ?? ''))
  const payload = store.view((tx) => tx.get(table, id))
  return { payload: payload && payloadToPublicProto(kind, payload), services }
}

interface Change {
  readonly kind: PayloadKind
  readonly present: Payload
  /** Of the new version, if there is to be one. */
  readonly freshId: Payload['id']
}

/** The present version afterwards: data that is as it was makes no new one. */
function written(
  tx: Tx,
  { kind, present, freshId }: Change,
  asked: PayloadSpecProto | undefined,
): Payload {
  const table = payloadTables[kind]
  const { spec: old } = present
  const data = asked === undefined || asked.data.length === 0 ? old.data : asked.data
  const spec = parsePayloadSpec(kind, asked && { ...asked, data })
  refuseRename(kind, old, spec)
  requireTemplates(tx, kind, spec)
  const isSame =
    Buffer.compare(spec.data, old.data) === 0 && spec.templateDriver === old.templateDriver
  if (isSame) return tx.update(table, { ...present, spec: { ...old, labels: spec.labels } })
  const revision = present.revision + 1
  return tx.create(table, { ...present, id: freshId, spec, revision })
}

function refuseRename(kind: PayloadKind, old: PayloadSpec, spec: PayloadSpec): void {
  if (old.name === spec.name) return
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `${kind} "${old.name}": field name cannot change to "${spec.name}". Create one of that name and remove this one`,
    { details: { field: 'name' } },
  )
}

/** Names of the services that got the version; they are updated as by a user. Nothing once there is a later one. */
function handOn(tx: Tx, kind: PayloadKind, id: string): readonly string[] {
  const table = payloadTables[kind]
  const payload = tx.get(table, id)
  if (payload === undefined) return []
  const [present, ...earlier] = versionsOf(tx, table, payload.spec.name)
  if (present?.id !== id) return []
  const ids = new Set<string>(earlier.map((one) => one.id))
  const services = servicesWith(tx, kind, ids).slice(0, servicesMax)
  for (const service of services) {
    tx.update('services', withVersion(tx, service, { kind, ids, id }))
    keepLogins(tx, service.id)
  }
  return services.map(({ spec }) => spec.name)
}

function withVersion(
  tx: Tx,
  service: Service,
  {
    kind,
    ids,
    id,
  }: { readonly kind: PayloadKind; readonly ids: ReadonlySet<string>; readonly id: string },
): Service {
  const { spec } = service
  const swap = (uses: readonly PayloadUse[]): readonly PayloadUse[] =>
    uses.map((use) => (ids.has(use.source) ? { ...use, source: id } : use))
  const { container } = spec.task
  const changed =
    kind === 'secret'
      ? { ...container, secrets: swap(container.secrets) }
      : { ...container, configs: swap(container.configs) }
  const next: ServiceSpec = { ...spec, task: { ...spec.task, container: changed } }
  return { ...withSpec(tx, service, next), previousSpec: spec, updateStatus: undefined }
}
