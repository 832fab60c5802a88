// Follows one way of a packet after the node where it began: over to other nodes, until it ends.
import {
  type TraceBranch,
  type TraceStep,
  TraceVerdict,
} from '../../proto/gen/tsswarm/v1/control.ts'
import {
  TraceEnd,
  type TraceLegRequest,
  type TracePath,
} from '../../proto/gen/tsswarm/v1/diagnosis.ts'
import type { Node } from '../../proto/objects/index.ts'
import { formatIp, parseIp } from '../../proto/spec/ip.ts'
import { isLocalNetwork } from '../../proto/spec/network-spec.ts'
import { taskName } from '../controlapi/views.ts'
import type { ReadTx } from '../store/store.ts'
import {
  hostName,
  networkAt,
  placedTask,
  serviceAt,
  serviceOfPort,
  servingText,
  taskAt,
  whyElsewhere,
} from './names.ts'
import { nodeAt } from './trace-ends.ts'
import { askLeg, branch, hopStep, step, type Trace } from './trace-steps.ts'

/** Of one leg that are followed: each is asked of its node. */
export const pathsMax = 16
/** Container to node to backend's node and back is three; more is a loop. */
const legsMax = 5

/** Each of the ways, where it parts again further on. Never rejects: a node that does not answer ends the way there. */
export async function followPath(
  trace: Trace,
  node: Node,
  path: TracePath,
  legs = 1,
): Promise<readonly TraceBranch[]> {
  const steps = path.hops.map((one) => hopStep(node, one))
  const next = trace.store.view((tx) => nextLeg(tx, trace, node, path))
  if (next === undefined) return [ending(trace, node, path, steps)]
  const unknown = (text: string): readonly TraceBranch[] => [
    branch(path.destination, steps, TraceVerdict.UNKNOWN, `unknown: ${text}`),
  ]
  if (legs >= legsMax) return unknown('it goes in circles')
  const leg = await askLeg(trace, next.node, next.request)
  if (typeof leg === 'string') return unknown(`${hostName(next.node)} does not answer: ${leg}`)
  const common = [
    ...steps,
    ...leg.hops.map((one) => hopStep(next.node, one)),
    ...servingSteps(trace, next.node, leg.balancedBy),
  ]
  const ways = await Promise.all(
    leg.paths.slice(0, pathsMax).map((one) => followPath(trace, next.node, one, legs + 1)),
  )
  return ways.flat().map((way) => ({
    ...way,
    steps: [...common, ...way.steps],
    mtu: smallest(way.mtu, path.mtu),
  }))
}

function smallest(...values: readonly number[]): number {
  const known = values.filter((value) => value > 0)
  return known.length === 0 ? 0 : Math.min(...known)
}

/** What the cluster knows of who may answer. */
export function servingSteps(
  { store }: Trace,
  node: Node,
  balancedBy: string,
): readonly TraceStep[] {
  if (balancedBy === '') return []
  return store.view((tx) => {
    const [protocol = '', port = '0'] = balancedBy.split('/')
    const address = parseIp(balancedBy)
    const service =
      address === undefined
        ? serviceOfPort(tx, protocol, Number(port))
        : serviceAt(tx, formatIp(address))
    if (service === undefined) return []
    const network = address === undefined ? undefined : networkAt(tx, formatIp(address))
    const isLocal = network !== undefined && isLocalNetwork(network.spec)
    const only = isLocal ? { node, network } : undefined
    return [step('store', servingText(tx, service, only))]
  })
}

interface NextLeg {
  readonly node: Node
  readonly request: TraceLegRequest
}

function nextLeg(
  tx: ReadTx,
  { protocol }: Trace,
  node: Node,
  path: TracePath,
): NextLeg | undefined {
  const { destination, port } = path
  if (path.end === TraceEnd.VXLAN) {
    const next = tx.get('nodes', path.nodeId)
    if (next === undefined) return undefined
    const outerSource = node.description?.dataPathAddress || node.address
    const value = { vni: path.vni, outerSource }
    const from = { $case: 'arrival', value } as const
    return { node: next, request: { from, source: path.source, destination, protocol, port } }
  }
  if (path.end !== TraceEnd.OUTSIDE) return undefined
  const next = nodeAt(tx, destination)
  if (next === undefined) return undefined
  // Whoever leaves a host bears its address.
  const source = next.id === node.id ? path.source : node.address
  const from = { $case: 'outside', value: true } as const
  return { node: next, request: { from, source, destination, protocol, port } }
}

function ending(
  trace: Trace,
  node: Node,
  path: TracePath,
  steps: readonly TraceStep[],
): TraceBranch {
  const end = trace.store.view((tx) => verdictOf(tx, trace, node, path))
  const target = trace.store.view((tx) => targetName(tx, path.destination))
  return { ...branch(target, steps, end.verdict, end.text), mtu: path.mtu }
}

function targetName(tx: ReadTx, address: string): string {
  const task = taskAt(tx, address)
  if (task !== undefined) return `${placedTask(tx, task.id) ?? task.id} (${address})`
  const service = serviceAt(tx, address)
  return service === undefined ? address : `${service.spec.name} (${address})`
}

interface Verdict {
  readonly verdict: TraceVerdict
  readonly text: string
}

function verdictOf(tx: ReadTx, trace: Trace, node: Node, path: TracePath): Verdict {
  const { reason } = path
  switch (path.end) {
    case TraceEnd.DELIVERED:
      return delivered(tx, node, path)
    case TraceEnd.HOST: {
      const text = `delivered to ${hostName(node)}: ${reason}`
      return { verdict: TraceVerdict.DELIVERED, text }
    }
    case TraceEnd.REFUSED:
      return { verdict: TraceVerdict.REFUSED, text: `refused: ${reason}` }
    case TraceEnd.DROPPED:
      return { verdict: TraceVerdict.DROPPED, text: `dropped: ${reason}` }
    case TraceEnd.UNREACHABLE:
      return unreachable(tx, node, path)
    case TraceEnd.OUTSIDE:
      return outside(tx, trace, node, path)
    case TraceEnd.VXLAN: {
      const text = `unknown: node ${path.nodeId} is not in the cluster any more`
      return { verdict: TraceVerdict.UNKNOWN, text }
    }
    case TraceEnd.UNKNOWN:
      return { verdict: TraceVerdict.UNKNOWN, text: `unknown: ${reason}` }
  }
}

/** The cluster may have given the address to another task meanwhile. */
function delivered(tx: ReadTx, node: Node, path: TracePath): Verdict {
  const { taskId, device, destination, reason } = path
  const owner = taskAt(tx, destination)
  const task = tx.get('tasks', taskId)
  const name = task === undefined ? `container ${taskId.slice(0, 12)}` : taskName(tx, task)
  if (owner !== undefined && owner.id !== taskId) {
    const text = `dropped: ${hostName(node)} leads ${destination} to ${name}, but it is ${taskName(tx, owner)}'s`
    return { verdict: TraceVerdict.DROPPED, text }
  }
  const why = reason === '' ? '' : `: ${reason}`
  const text = `delivered to ${name} on ${hostName(node)} (${device})${why}`
  return { verdict: TraceVerdict.DELIVERED, text }
}

/** The node knows nothing of what is on others of a local network; the cluster does. */
function unreachable(tx: ReadTx, node: Node, { destination, reason }: TracePath): Verdict {
  const network = networkAt(tx, destination)
  const [task, service] = [taskAt(tx, destination), serviceAt(tx, destination)]
  const why = whyElsewhere(tx, node, { network, task, service }) ?? reason
  return { verdict: TraceVerdict.UNREACHABLE, text: `unreachable: ${why}` }
}

/** It left the cluster's networks, and goes to no node. */
function outside(tx: ReadTx, { source }: Trace, node: Node, path: TracePath): Verdict {
  const { destination } = path
  const network = networkAt(tx, destination)?.spec.name
  if (network === undefined) {
    const text = `delivered out of the cluster by ${hostName(node)}: what becomes of it there is not known here`
    return { verdict: TraceVerdict.DELIVERED, text }
  }
  if (source.kind !== 'task') {
    const text = `dropped: hosts do not reach addresses of network ${network}: publish a port of the service (--publish)`
    return { verdict: TraceVerdict.DROPPED, text }
  }
  const own = source.task.attachments.map(({ networkId }) => tx.get('networks', networkId))
  const names = own.flatMap((one) => one?.spec.name ?? [])
  const from = names.length === 0 ? 'the local network' : names.join(', ')
  const verb = names.length > 1 ? 'others than' : 'and'
  const text =
    names.length > 1
      ? `dropped: ${destination} is on ${network}, and ${source.name} is on ${from}: different networks`
      : `dropped: ${from} ${verb} ${network} are different networks`
  return { verdict: TraceVerdict.DROPPED, text }
}
