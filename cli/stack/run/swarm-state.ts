// What of a stack is in the swarm, as the planner compares it: names instead of ids.
import { networkSpecFromProto } from '../../../proto/codec/network.ts'
import { serviceSpecFromProto } from '../../../proto/codec/service.ts'
import type { PayloadKind } from '../../../proto/spec/payload-spec.ts'
import type { ServiceSpec } from '../../../proto/spec/service-spec.ts'
import type { Client } from '../../client.ts'
import { listNetworks, listPayloads, listServices } from '../../lists.ts'
import type { PresentPayload, SwarmState } from '../plan-stack.ts'
import { wholeSpec } from '../stack-spec.ts'

/** Errors: as Client.call. */
export async function readSwarmState(
  client: Client,
  wanted: { readonly payloads: boolean },
): Promise<SwarmState> {
  const networks = (await listNetworks(client)).flatMap(({ id, spec }) =>
    spec === undefined ? [] : [{ id, spec: networkSpecFromProto(spec) }],
  )
  const names = new Map(networks.map(({ id, spec }) => [id, spec.name]))
  const services = (await listServices(client)).flatMap(({ service }) => {
    if (service?.spec === undefined) return []
    const spec = wholeSpec(byName(serviceSpecFromProto(service.spec), names))
    return [{ id: service.id, spec }]
  })
  const payloads = wanted.payloads
    ? [...(await presentPayloads(client, 'secret')), ...(await presentPayloads(client, 'config'))]
    : []
  return { networks, services, payloads }
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

/** Files name networks, secrets and configs; the managers keep their ids. */
function byName(spec: ServiceSpec, names: ReadonlyMap<string, string>): ServiceSpec {
  const { task } = spec
  const named = (uses: ServiceSpec['task']['container']['secrets']) =>
    uses.map((use) => ({ ...use, source: use.name === '' ? use.source : use.name, name: '' }))
  return {
    ...spec,
    task: {
      ...task,
      networks: task.networks.map((use) => ({
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
