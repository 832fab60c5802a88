// Keys of a service that a swarm cannot follow: those that Swarm ignores are said, those that this version has not yet are refused.
import type { Section } from './section.ts'

/** Source: swarm-semantics 4. */
const ignored: Readonly<Record<string, string>> = {
  build: 'images are not built: build it, push it and name it with "image"',
  cgroup_parent: 'the swarm chooses the cgroup',
  cgroupns_mode: 'tasks have a cgroup namespace of their own',
  devices: 'x-devices gives them, where the cluster allows it',
  domainname: 'tasks have no domain name',
  external_links: 'services reach each other over a common network',
  ipc: 'tasks have an IPC namespace of their own',
  links: 'services reach each other over a common network',
  mac_address: 'the swarm chooses it',
  network_mode:
    'use networks; of the host: networks: {host: {external: true, name: host}} at the top level',
  pid: 'tasks have a PID namespace of their own',
  privileged: 'use cap_add, or x-privileged where the cluster allows it',
  shm_size: 'mount a tmpfs at /dev/shm instead',
  container_name: 'tasks are named after their service',
  expose: 'services on a network reach each other on every port',
  tmpfs: 'use volumes with type: tmpfs',
}

/** In this version; elsewhere in Swarm they have an effect. */
const refused: Readonly<Record<string, string>> = {
  credential_spec: 'it is for Windows, and tsswarm runs on Linux',
}

/** Tells what of a service has no effect, and what this version cannot do. */
export function checkServiceKeys(service: Section): void {
  for (const key of service.keys()) {
    const why = Object.hasOwn(ignored, key) ? ignored[key] : undefined
    if (why !== undefined) service.notice(key, `has no effect: ${why}`)
    const not = Object.hasOwn(refused, key) ? refused[key] : undefined
    if (not !== undefined) service.fault(key, not)
  }
  if (!['', 'default'].includes(service.text('isolation') ?? '')) {
    service.fault('isolation', 'it is for Windows, and tsswarm runs on Linux')
  }
  checkNetworkAddresses(service)
}

function checkNetworkAddresses(service: Section): void {
  const networks = service.section('networks')
  for (const name of networks?.keys() ?? []) {
    const use = networks?.section(name)
    for (const key of ['ipv4_address', 'ipv6_address']) {
      if (use?.has(key)) use.notice(key, 'has no effect: the swarm gives addresses')
    }
  }
}
