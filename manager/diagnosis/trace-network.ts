// TraceNetwork: follows a packet's way from node to node, through what their kernels answer. Not for who is meant
// (trace-ends.ts), nor for what a kernel would do (the nodes know).
import { SwarmError } from '../../proto/errors.ts'
import {
  type TraceBranch,
  type TraceNetworkRequest,
  type TraceNetworkResponse,
  type TraceStep,
  TraceVerdict,
} from '../../proto/gen/tsswarm/v1/control.ts'
import type { TraceLegRequest } from '../../proto/gen/tsswarm/v1/diagnosis.ts'
import type { EndpointProtocol, Node, NodeId } from '../../proto/objects/index.ts'
import type { Caller } from '../rpc/caller.ts'
import type { Store } from '../store/store.ts'
import { hostName } from './names.ts'
import type { AskNode } from './node-asker.ts'
import {
  type Destination,
  findSource,
  parseDestination,
  protocolNamed,
  type TraceSource,
} from './trace-ends.ts'
import { followPath, pathsMax, servingSteps } from './trace-follow.ts'
import { type Addressed, addressesOfName } from './trace-names.ts'
import { askLeg, branch, hopStep, step, type Trace } from './trace-steps.ts'

export interface TraceDeps {
  readonly store: Store
  readonly cluster: {
    selfNodeId(): NodeId
    readBarrier(signal: AbortSignal): Promise<void>
  }
  readonly ask: AskNode
}

/** The handler of TraceNetwork. Errors: NOT_FOUND, AMBIGUOUS, INVALID_ARGUMENT, FAILED_PRECONDITION, NO_LEADER. */
export function traceNetwork(
  deps: TraceDeps,
): (
  caller: Caller,
  request: TraceNetworkRequest,
  signal: AbortSignal,
) => Promise<TraceNetworkResponse> {
  return async (_caller, request, signal) => {
    const { store, cluster, ask } = deps
    const destination = parseDestination(request.destination)
    const protocol = protocolOf(request, destination)
    await cluster.readBarrier(signal)
    const source = store.view((tx) => findSource(tx, request.source, cluster.selfNodeId()))
    const trace: Trace = { store, ask, source, protocol, signal }
    const addressed = await addressesOfName(trace, destination)
    if (addressed.end !== undefined) return answer(addressed.steps, [addressed.end])
    return await follow(trace, destination, addressed)
  }
}

/** Errors: INVALID_ARGUMENT. */
function protocolOf(request: TraceNetworkRequest, destination: Destination): EndpointProtocol {
  const said = request.protocol === '' ? undefined : protocolNamed(request.protocol)
  const { protocol } = destination
  if (said === undefined || protocol === undefined || said === protocol) {
    return protocol ?? said ?? 'tcp'
  }
  const text = `destination "${request.destination}" is of ${protocol}, and protocol ${said} is asked for: leave one of them out`
  throw new SwarmError('INVALID_ARGUMENT', text)
}

async function follow(
  trace: Trace,
  { port }: Destination,
  { steps, addresses, entry }: Addressed,
): Promise<TraceNetworkResponse> {
  const all: TraceStep[] = [...steps]
  const branches: TraceBranch[] = []
  for (const address of addresses.slice(0, pathsMax)) {
    const node = entry ?? nodeOf(trace.source)
    if (node === undefined) throw outsideOnly(address)
    const leg = await askLeg(trace, node, legFrom(trace, entry, { address, port }))
    if (typeof leg === 'string') {
      const text = `${hostName(node)} does not answer: ${leg}`
      branches.push(branch(address, [], TraceVerdict.UNKNOWN, text))
      continue
    }
    all.push(...leg.hops.map((one) => hopStep(node, one)))
    all.push(...servingSteps(trace, node, leg.balancedBy))
    const paths = leg.paths.slice(0, pathsMax).map((path) => followPath(trace, node, path))
    branches.push(...(await Promise.all(paths)).flat())
    const more = leg.paths.length - pathsMax
    if (more > 0) all.push(step('store', `of ${leg.paths.length} ways ${pathsMax} are followed`))
  }
  return answer(all, branches)
}

function nodeOf(source: TraceSource): Node | undefined {
  return source.kind === 'outside' ? undefined : source.node
}

function outsideOnly(address: string): SwarmError {
  return new SwarmError(
    'INVALID_ARGUMENT',
    `the source is no container and no node, so it reaches published ports only, and ${address} is no node's: give NODE:PORT as the destination`,
  )
}

function legFrom(
  { source, protocol }: Trace,
  entry: Node | undefined,
  { address, port }: { readonly address: string; readonly port: number },
): TraceLegRequest {
  const rest = { source: '', destination: address, protocol, port }
  if (source.kind === 'task') return { ...rest, from: { $case: 'taskId', value: source.task.id } }
  if (source.kind === 'node' && (entry === undefined || entry.id === source.node.id)) {
    return { ...rest, from: { $case: 'host', value: true } }
  }
  const from = source.kind === 'node' ? source.node.address : source.address
  return { ...rest, source: from, from: { $case: 'outside', value: true } }
}

/** Delivered only if all of it is; else the first way that is not says why. */
function answer(
  steps: readonly TraceStep[],
  branches: readonly TraceBranch[],
): TraceNetworkResponse {
  const lost = branches.filter(({ verdict }) => verdict !== TraceVerdict.DELIVERED)
  const [first] = lost.length > 0 ? lost : branches
  const common = sharedBeginning(branches)
  const told = {
    steps: [...steps, ...common],
    branches: branches.map((one) => ({ ...one, steps: one.steps.slice(common.length) })),
  }
  if (first === undefined) {
    return { ...told, verdict: TraceVerdict.UNREACHABLE, text: 'unreachable: there is no address' }
  }
  const { verdict, text } = first
  if (branches.length === 1) return { ...told, verdict, text }
  if (lost.length === 0) {
    return { ...told, verdict, text: branches.map((one) => one.text).join('; ') }
  }
  const count = `${lost.length} of ${branches.length} ways fail`
  return { ...told, verdict, text: `${count}: ${lost.map((one) => one.text).join('; ')}` }
}

/** Steps that all ways begin with; the whole of one way is no beginning. */
function sharedBeginning(branches: readonly TraceBranch[]): readonly TraceStep[] {
  const [first, ...others] = branches
  if (first === undefined || others.length === 0) return []
  const isShared = ({ place, text }: TraceStep, at: number): boolean =>
    others.every(({ steps }) => steps[at]?.place === place && steps[at]?.text === text)
  const parts = first.steps.findIndex((one, at) => !isShared(one, at))
  return first.steps.slice(0, parts < 0 ? first.steps.length : parts)
}
