// The networks that a task's container is made with: those the cluster gave it addresses on, those that its host has for itself. Pure.
import type { AssignedTask } from '../proto/objects/index.ts'
import { interfaceSysctlsOf } from '../proto/spec/endpoint-options.ts'
import { predefinedOf } from '../proto/spec/predefined-networks.ts'
import type { TaskSpec } from '../proto/spec/service-spec.ts'
import { hostPortsOf } from './container-config.ts'
import type { ContainerNetwork, EndpointConfig } from './executor/network-attacher.ts'

/**
 * `localNetworkId`: the network that every host has for itself, which Docker calls `bridge`. What a task is connected to
 * while it runs comes later.
 */
export function networkOfTask(
  { attachments }: Pick<AssignedTask, 'attachments'>,
  spec: Pick<TaskSpec, 'ports' | 'networks'>,
  localNetworkId: string,
): ContainerNetwork {
  const predefined = spec.networks.flatMap(({ target }) => predefinedOf(target)?.name ?? [])
  if (predefined.includes('host')) return { kind: 'host' }
  if (predefined.includes('none')) return { kind: 'none' }
  // Aliases are names of the service, which the cluster's resolver knows.
  const given = attachments
    .filter(({ connection }) => connection === undefined)
    .map(({ networkId, addresses }) => ({
      ...{ networkId, addresses, aliases: [] },
      ...sysctlsOn(spec, networkId),
    }))
  const local = {
    ...{ networkId: localNetworkId, addresses: [], aliases: [] },
    ...sysctlsOn(spec, 'bridge'),
  }
  const isLocal = given.length === 0 || predefined.includes('bridge')
  const endpoints = isLocal ? [local, ...given] : given
  return { kind: 'attached', endpoints, ports: hostPortsOf(spec.ports) }
}

function sysctlsOn(
  { networks }: Pick<TaskSpec, 'networks'>,
  network: string,
): Pick<EndpointConfig, 'sysctls'> {
  const use = networks.find(({ target }) => target === network)
  const sysctls = interfaceSysctlsOf(use?.driverOptions ?? {})
  return sysctls.length === 0 ? {} : { sysctls }
}
