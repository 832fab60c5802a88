// What of a stack is in the swarm, as the planner compares it: names instead of ids.
import { networkSpecFromProto } from '../../../proto/codec/network.ts'
import { serviceSpecFromProto } from '../../../proto/codec/service.ts'
import type { ServiceSpec as ServiceSpecProto } from '../../../proto/gen/tsswarm/v1/objects.ts'
import type { PayloadKind } from '../../../proto/spec/payload-spec.ts'
import type { ServiceSpec } from '../../../proto/spec/service-spec.ts'
import type { Client } from '../../client.ts'
import { listNetworks, listPayloads, listServices } from '../../lists.ts'
import type { PresentPayload, SwarmState } from '../plan-stack.ts'
import { wholeSpec } from '../stack-spec.ts'

/** What is there, for the planner and, as it was written, for whoever brings it back. */
export interface ReadState {
  readonly state: SwarmState
  /** By id of the service. */
  readonly specs: ReadonlyMap<string, ServiceSpecProto>
}

/** Errors: as Client.call. */
export async function readSwarmState(
  client: Client,
  wanted: { readonly payloads: boolean },
): Promise<ReadState> {
  const networks = (await listNetworks(client)).flatMap(({ id, spec }) =>
    spec === undefined ? [] : [{ id, spec: networkSpecFromProto(spec) }],
  )
  const names = new Map(networks.map(({ id, spec }) => [id, spec.name]))
  const payloads = wanted.payloads
    ? [...(await presentPayloads(client, 'secret')), ...(await presentPayloads(client, 'config'))]
    : []
  const present = wanted.payloads ? new Set(payloads.map(({ id }) => id)) : undefined
  const specs = new Map<string, ServiceSpecProto>()
  const services = (await listServices(client)).flatMap(({ service }) => {
    if (service?.spec === undefined) return []
    specs.set(service.id, service.spec)
    const spec = wholeSpec(byName(serviceSpecFromProto(service.spec), names, present))
    return [{ id: service.id, spec }]
  })
  return { state: { networks, services, payloads }, specs }
}

/** The present versions. Errors: as Client.call. */
export async function presentPayloads(
  client: Client,
  kind: PayloadKind,
): Promise<readonly PresentPayload[]> {
  return (await listPayloads(client, kind)).flatMap(({ payload }) => {
    if (payload?.spec === undefined) return []
    const { name, labels, templateDriver } = payload.spec
    return [{ kind, id: payload.id, name, labels, templateDriver }]
  })
}

/** Files name networks, secrets and configs; the managers keep their ids, and which networks are local. A version that is not the present one stays an id. */
export function byName(
  spec: ServiceSpec,
  names: ReadonlyMap<string, string>,
  present: ReadonlySet<string> | undefined,
): ServiceSpec {
  const { task } = spec
  const named = (uses: ServiceSpec['task']['container']['secrets']) =>
    uses.map((use) => {
      const isPresent = use.name !== '' && (present?.has(use.source) ?? true)
      return { ...use, source: isPresent ? use.name : use.source, name: '' }
    })
  return {
    ...spec,
    task: {
      ...task,
      networks: task.networks.map(({ isLocal: _, ...use }) => ({
        ...use,
        target: names.get(use.target) ?? use.target,
      })),
      container: {
        ...task.container,
        secrets: named(task.container.secrets),
        configs: named(task.container.configs),
      },
    },
  }
}
