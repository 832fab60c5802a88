// What a node found, in words that name services, tasks, networks and nodes. Pure but for what it reads of the store.
import {
  type AuditFinding,
  AuditFindingKind,
  type AuditHealing,
} from '../../proto/gen/tsswarm/v1/control.ts'
import type {
  Healing,
  HostFinding,
  KernelDifference,
  NodeAudit,
  SilentPeer,
} from '../../proto/gen/tsswarm/v1/diagnosis.ts'
import type { Node } from '../../proto/objects/index.ts'
import type { ReadTx } from '../store/store.ts'
import { networkName, nodeName, placedTask } from './names.ts'

/** "route to 10.0.1.6 (task web.3 on w1) is missing on network back". */
export function differenceText(tx: ReadTx, difference: KernelDifference): string {
  const about = aboutText(tx, difference)
  const { subject, problem, networkId, inHost } = difference
  const network = networkId === '' ? '' : ` on network ${networkName(tx, networkId)}`
  const where = inHost ? " in the host's namespace" : ''
  return `${subject}${about === '' ? '' : ` (${about})`} ${problem}${network}${where}`
}

function aboutText(tx: ReadTx, { taskId, serviceId, nodeId }: KernelDifference): string {
  if (taskId !== '') {
    const task = placedTask(tx, taskId)
    return task === undefined ? `container ${taskId.slice(0, 12)}` : `task ${task}`
  }
  if (serviceId !== '') return `service ${tx.get('services', serviceId)?.spec.name ?? serviceId}`
  return nodeId === '' ? '' : `node ${nodeName(tx, nodeId)}`
}

export function auditFindings(
  tx: ReadTx,
  node: Node,
  { differences, host, silentPeers }: NodeAudit,
): readonly AuditFinding[] {
  return [
    ...silentPeers.map((peer) => peerFinding(tx, peer)),
    ...host.map(hostFinding),
    ...conditionFindings(node, silentPeers.length > 0),
    ...differences.map((difference) => kernelFinding(tx, difference)),
  ]
}

function kernelFinding(tx: ReadTx, difference: KernelDifference): AuditFinding {
  const { networkId } = difference
  return {
    kind: AuditFindingKind.KERNEL,
    text: differenceText(tx, difference),
    remedy: '',
    network: networkId === '' ? '' : networkName(tx, networkId),
  }
}

function peerFinding(tx: ReadTx, { nodeId, address, silentMs, port }: SilentPeer): AuditFinding {
  const name = nodeName(tx, nodeId)
  return {
    kind: AuditFindingKind.PEER,
    text:
      `gets no answer from ${name} (${address}) through UDP ${port} (VXLAN) for ${seconds(silentMs)}: ` +
      `a firewall between them or on ${name} drops it`,
    remedy: `admit ${port}/udp between them: "tsswarm doctor" on ${name} reads its firewall and prints the command; what lies between is opened where it is set up`,
    network: '',
  }
}

function hostFinding({ text, remedy }: HostFinding): AuditFinding {
  return { kind: AuditFindingKind.HOST, text, remedy, network: '' }
}

/** What the node tells the cluster of itself anyway. */
export function conditionFindings(node: Node, arePeersKnown: boolean): readonly AuditFinding[] {
  const conditions = node.description?.conditions ?? []
  return conditions
    .filter(({ code }) => !(arePeersKnown && code === 'PEER_UNREACHABLE'))
    .map(({ code, message }) => ({
      kind: code === 'PEER_UNREACHABLE' ? AuditFindingKind.PEER : AuditFindingKind.HOST,
      text: message,
      remedy: '',
      network: '',
    }))
}

/** `subject`: id of a network, or empty for the paths of nodes. */
export function staleFinding(tx: ReadTx, subject: string): AuditFinding {
  const network = subject === '' ? '' : networkName(tx, subject)
  const what = subject === '' ? 'how nodes are reached' : `network ${network}`
  return {
    kind: AuditFindingKind.STATE,
    text: `was told something else of ${what} than the cluster has, and does not catch up`,
    remedy:
      'nodes without the bus catch up within 3 s: see "tsswarm info" there for its bus and its managers, and the log of its daemon',
    network,
  }
}

export function healingWords(tx: ReadTx, healing: Healing | undefined): AuditHealing | undefined {
  if (healing === undefined) return undefined
  const { forMs, comparisons, mended, last } = healing
  const told = last.map(({ agoMs, difference, text }) => ({
    agoMs,
    text: difference === undefined ? text : differenceText(tx, difference),
  }))
  return { forMs, comparisons, mended, last: told }
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1_000)} s`
}
