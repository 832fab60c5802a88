// Docker's side of the network benchmark: two hosts of a swarm, a container on each, on one overlay network.
import { enterNamespace } from '../../../worker/network/data-plane.ts'
import type { DockerCluster } from '../docker/docker-cluster.ts'
import type { Way } from './load.ts'

const network = 'bench'

/** Of a swarm with the hosts m1 and w1. Errors: UNAVAILABLE. */
export async function dockerWay(cluster: DockerCluster): Promise<Way> {
  await cluster.type('m1', 'network', 'create', '--driver', 'overlay', '--attachable', network)
  const client = await container(cluster, 'm1')
  const server = await container(cluster, 'w1')
  return { client: client.enter, server: server.enter, address: server.address }
}

async function container(
  cluster: DockerCluster,
  host: string,
): Promise<{ readonly enter: readonly string[]; readonly address: string }> {
  const id = (await cluster.printed(host, 'run', '-d', '--network', network, 'lab/hello')).trim()
  const format = `{{.State.Pid}} {{(index .NetworkSettings.Networks "${network}").IPAddress}}`
  const text = await cluster.printed(host, 'inspect', '--format', format, id)
  const [pid = '', address = ''] = text.trim().split(' ')
  return { enter: enterNamespace(`/proc/${pid}/ns/net`), address }
}
