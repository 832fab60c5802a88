// The subjects of the bus, and which of them a node may use. Readers are every node of the cluster; only managers write.
import { type NetworkId, type NodeId, networkId } from '../objects/ids.ts'

const root = 'tsswarm'

/** Every subject that all nodes may read. */
export const clusterSubjects = `${root}.cluster.>`

/** How packets reach each node. */
export const pathsSubject = `${root}.cluster.paths`

const networkRoot = `${root}.cluster.network.`

export function networkSubject(id: NetworkId): string {
  return `${networkRoot}${id}`
}

/** Of a subject that networkSubject made. */
export function networkIdOf(subject: string): NetworkId {
  return networkId(subject.slice(networkRoot.length))
}

/** Every subject that only this node may read. */
export function nodeSubjects(id: NodeId): string {
  return `${root}.node.${id}.>`
}

/** Where answers to this node go; the only place a worker may write to. */
export function inboxPrefix(id: NodeId): string {
  return `_INBOX.${id}`
}

/** Every subject of ours. */
export const allSubjects = `${root}.>`
