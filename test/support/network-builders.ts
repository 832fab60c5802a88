// Values of worker/network for tests; only what matters is written at the call.
import type { Endpoint, NetworkState, PublishedPort } from '../../worker/network/network-state.ts'

export function aPort(port: Partial<PublishedPort> = {}): PublishedPort {
  return {
    protocol: 'tcp',
    targetPort: 80,
    publishedPort: 8080,
    bindAddress: undefined,
    door: '169.254.77.2',
    ...port,
  }
}

export function anEndpoint(endpoint: Partial<Endpoint> = {}): Endpoint {
  return {
    containerId: 'c1',
    networkId: 'local',
    address: '172.30.0.1',
    prefix: 16,
    mac: '02:00:00:00:00:01',
    link: 'v000000000001',
    netns: { path: '/proc/self/ns/net', inode: 1 },
    ports: [],
    ...endpoint,
  }
}

export function aNetworkState(state: Partial<NetworkState> = {}): NetworkState {
  return {
    transit: '100.127.255.254',
    mac: '02:00:00:00:00:ff',
    networks: [{ kind: 'local', id: 'local', subnet: '172.30.0.0/16', mtu: 1500 }],
    endpoints: [],
    forwardingIsOurs: false,
    forwarding6IsOurs: false,
    vxlanPort: 4789,
    overlay: undefined,
    ...state,
  }
}
