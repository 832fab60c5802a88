// Views of networks by what names lead to.
import {
  type NetworkView,
  type NodePath,
  networkId,
  nodeId,
  type ServiceEndpoint,
  serviceId,
  type TaskEndpoint,
  taskId,
} from '../../proto/objects/index.ts'

/** On node `a`, with an address that follows from its id. */
export function aServing(id: string, other: Partial<TaskEndpoint> = {}): TaskEndpoint {
  return {
    taskId: taskId(id),
    serviceId: serviceId('web'),
    nodeId: nodeId('a'),
    slot: 1,
    addresses: [`10.0.1.${id.charCodeAt(0)}`],
    aliases: [],
    isServing: true,
    ...other,
  }
}

export function aService(other: Partial<ServiceEndpoint> = {}): ServiceEndpoint {
  const vip: ServiceEndpoint['mode'] = 'vip'
  const service = { serviceId: serviceId('web'), name: 'web', aliases: [], mode: vip }
  return { ...service, vips: ['10.0.1.2'], ports: [], ...other }
}

export function aView(
  id: string,
  tasks: readonly TaskEndpoint[],
  services: readonly ServiceEndpoint[] = [aService()],
): NetworkView {
  const size = { vni: 1_048_576, subnets: ['10.0.1.0/24'], mtu: 1450 }
  const network = { id: networkId(id), name: id, ...size, isInternal: false, isIngress: false }
  return { network, services, tasks }
}

/** Ids of the tasks that are led to. */
export function servingNames({ tasks }: NetworkView): readonly string[] {
  return tasks.filter(({ isServing }) => isServing).map((task) => task.taskId)
}

export function pathsOf(...nodes: readonly string[]): readonly NodePath[] {
  return nodes.map((id, i) => ({
    nodeId: nodeId(id),
    dataPathAddress: `192.0.2.${i + 1}`,
    dataPathPort: 4789,
    transit: [`100.127.0.${i + 1}`],
    mac: `02:00:00:00:00:0${i + 1}`,
    mark: i + 1,
  }))
}
