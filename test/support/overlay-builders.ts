// Values of overlay networks for tests; only what matters is written at the call. Node N is node "nN", reached at
// 10.99.0.N, with transit address 100.127.0.N; network N has subnet 10.N.0.0/24.
import { join } from 'node:path'
import type { Test } from 'tap'
import { type Clock, systemClock } from '../../proto/lib/clock.ts'
import { silentLogger } from '../../proto/lib/log.ts'
import { networkId, nodeId, serviceId, taskId } from '../../proto/objects/ids.ts'
import type {
  IngressPort,
  NetworkView,
  NodePath,
  OverlayNetwork,
  ServiceEndpoint,
  TaskEndpoint,
} from '../../proto/objects/overlay.ts'
import type { Kernel } from '../../worker/network/kernel.ts'
import { OverlayKeeper } from '../../worker/network/overlay-keeper.ts'
import type { OverlayState } from '../../worker/network/overlay-state.ts'

export function aPath(number: number, path: Partial<NodePath> = {}): NodePath {
  return {
    nodeId: nodeId(`n${number}`),
    dataPathAddress: `10.99.0.${number}`,
    dataPathPort: 4789,
    transit: [`100.127.0.${number}`],
    mac: `02:00:00:00:01:${number.toString(16).padStart(2, '0')}`,
    mark: number,
    ...path,
  }
}

export function aNetwork(number: number, network: Partial<OverlayNetwork> = {}): OverlayNetwork {
  return {
    id: networkId(`net${number}`),
    name: `net${number}`,
    vni: 1_048_576 + number,
    subnets: [`10.${number}.0.0/24`],
    mtu: 1450,
    isInternal: false,
    isIngress: false,
    ...network,
  }
}

/** `name`: of the task, `SERVICE.NUMBER`. */
export function aTaskEndpoint(
  name: string,
  on: number,
  addresses: readonly string[],
  task: Partial<TaskEndpoint> = {},
): TaskEndpoint {
  return {
    taskId: taskId(name),
    serviceId: serviceId(name.split('.')[0] ?? ''),
    nodeId: nodeId(`n${on}`),
    slot: 1,
    addresses,
    aliases: [],
    isServing: true,
    ...task,
  }
}

export function aServiceEndpoint(
  name: string,
  service: Partial<ServiceEndpoint> = {},
): ServiceEndpoint {
  return {
    serviceId: serviceId(name),
    name,
    aliases: [],
    mode: 'vip',
    vips: [],
    ports: [],
    ...service,
  }
}

export function anIngressPort(port: Partial<IngressPort> = {}): IngressPort {
  return {
    protocol: 'tcp',
    targetPort: 80,
    publishedPort: 8080,
    bindAddress: '',
    sources: [],
    isMasqueraded: false,
    isLocalFirst: false,
    isFirewallFirst: false,
    ...port,
  }
}

export function aView(network: OverlayNetwork, view: Partial<NetworkView> = {}): NetworkView {
  return { network, services: [], tasks: [], ...view }
}

/** The state as node 1 of three is told of it. */
export function anOverlay(
  views: readonly NetworkView[],
  overlay: Partial<OverlayState> = {},
): OverlayState {
  return { nodeId: nodeId('n1'), paths: [aPath(1), aPath(2), aPath(3)], views, ...overlay }
}

export function aKeeper(t: Test, kernel: Kernel, clock: Clock = systemClock): OverlayKeeper {
  const keeper = new OverlayKeeper({
    kernel,
    dataPlaneFile: '/run/d.netns',
    file: join(t.testdirName, 'overlay.json'),
    vxlanPort: 4789,
    onPortConditions: () => {},
    clock,
    log: silentLogger,
  })
  t.teardown(() => keeper.close())
  return keeper
}
