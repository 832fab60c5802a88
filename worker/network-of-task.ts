// The networks of a task's container: those the cluster gave it addresses on, else the one that is local to its host. Pure.
import type { AssignedTask } from '../proto/objects/index.ts'
import type { TaskSpec } from '../proto/spec/service-spec.ts'
import { hostPortsOf } from './container-config.ts'
import type { ContainerNetwork } from './executor/network-attacher.ts'

/** `localNetworkId`: the network that every host has for itself. */
export function networkOfTask(
  { attachments }: Pick<AssignedTask, 'attachments'>,
  spec: Pick<TaskSpec, 'ports'>,
  localNetworkId: string,
): ContainerNetwork {
  const ports = hostPortsOf(spec.ports)
  if (attachments.length === 0) {
    const local = { networkId: localNetworkId, addresses: [], aliases: [] }
    return { kind: 'attached', endpoints: [local], ports }
  }
  // Aliases are names of the service, which the cluster's resolver knows.
  const endpoints = attachments.map((one) => ({ ...one, aliases: [] }))
  return { kind: 'attached', endpoints, ports }
}
