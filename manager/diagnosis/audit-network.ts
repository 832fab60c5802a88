// AuditNetwork: asks nodes how their kernels differ from what they should hold, and compares what they were told with the
// store. Answers as they answer; mends nothing.
import { pathsDigest, viewDigest } from '../../proto/codec/overlay-digest.ts'
import type {
  AuditedNode,
  AuditFinding,
  AuditNetworkRequest,
  AuditNetworkResponse,
} from '../../proto/gen/tsswarm/v1/control.ts'
import type { NodeAudit, ToldSubject } from '../../proto/gen/tsswarm/v1/diagnosis.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import { type NetworkId, type Node, type NodeId, networkId } from '../../proto/objects/index.ts'
import { viewAt } from '../../proto/objects/overlay.ts'
import { storeOverlay } from '../bus/store-overlay.ts'
import { findNetwork, findNode } from '../controlapi/lookup.ts'
import type { Caller } from '../rpc/caller.ts'
import type { ReadTx, Store } from '../store/store.ts'
import { auditFindings, conditionFindings, healingWords, staleFinding } from './audit-words.ts'
import { inOrderOfAnswer } from './in-order-of-answer.ts'
import { hostName } from './names.ts'
import type { AskNode } from './node-asker.ts'

export interface AuditDeps {
  readonly store: Store
  readonly cluster: {
    selfNodeId(): NodeId
    readBarrier(signal: AbortSignal): Promise<void>
  }
  readonly ask: AskNode
  readonly clock: Clock
}

/** Each answer is up to a megabyte, and made by a look at a whole kernel. */
const atOnceMax = 16
/** A node that was told something else is asked again: news may be on their way. */
const againMs = 1_500
const askedAgainMax = 2

/** The handler of AuditNetwork. Errors: NOT_FOUND, AMBIGUOUS (network or node), NO_LEADER. */
export function auditNetwork(
  deps: AuditDeps,
): (
  caller: Caller,
  request: AuditNetworkRequest,
  signal: AbortSignal,
) => AsyncGenerator<AuditNetworkResponse, void, undefined> {
  return async function* (_caller, request, signal) {
    await deps.cluster.readBarrier(signal)
    const { nodes, network } = deps.store.view((tx) => select(tx, deps, request))
    yield { kind: { $case: 'asked', value: { names: nodes.map(hostName) } } }
    const { controller, release } = childController(signal)
    const audit = (node: Node): Promise<AuditedNode> =>
      auditNode(deps, node, network, controller.signal)
    try {
      for await (const value of inOrderOfAnswer(nodes, atOnceMax, audit)) {
        if (signal.aborted) return
        yield { kind: { $case: 'node', value } }
      }
    } finally {
      controller.abort()
      release()
    }
  }
}

interface Selection {
  readonly nodes: readonly Node[]
  /** Undefined: all. */
  readonly network: NetworkId | undefined
}

function select(
  tx: ReadTx,
  { cluster }: Pick<AuditDeps, 'cluster'>,
  request: AuditNetworkRequest,
): Selection {
  const network = request.network === '' ? undefined : findNetwork(tx, request.network).id
  const self = cluster.selfNodeId()
  const named = request.nodes.map((reference) => findNode(tx, reference, self))
  const nodes = named.length > 0 ? [...new Map(named.map((one) => [one.id, one])).values()] : []
  if (nodes.length > 0) return { nodes, network }
  // Others have nothing of it.
  const holds = (node: Node): boolean =>
    network === undefined || storeOverlay.isHeldBy(tx, network, node.id)
  return { nodes: [...tx.all('nodes')].filter(holds), network }
}

async function auditNode(
  deps: AuditDeps,
  node: Node,
  network: NetworkId | undefined,
  signal: AbortSignal,
): Promise<AuditedNode> {
  const { store } = deps
  const about = { nodeId: node.id, name: hostName(node) }
  try {
    const audit = await askAudit(deps, node, network, signal)
    const stale = await staleFindings(deps, { node, network, told: audit.told }, signal)
    return store.view((tx) => ({
      ...about,
      err: '',
      findings: [...stale, ...auditFindings(tx, node, audit)],
      leftOut: audit.leftOut,
      healing: healingWords(tx, audit.healing),
    }))
  } catch (err) {
    const why = err instanceof Error ? err.message : String(err)
    const findings = conditionFindings(node, false)
    return { ...about, err: why, findings: [...findings], leftOut: 0, healing: undefined }
  }
}

async function askAudit(
  { ask }: AuditDeps,
  node: Node,
  network: NetworkId | undefined,
  signal: AbortSignal,
): Promise<NodeAudit> {
  const question = { $case: 'audit', value: { networkId: network ?? '' } } as const
  const answer = await ask(node, question, signal)
  if (answer.$case === 'audit') return answer.value
  throw new Error('it answered another question')
}

interface Told {
  readonly node: Node
  readonly network: NetworkId | undefined
  readonly told: readonly ToldSubject[]
}

/** Of subjects that the node does not catch up with: what it says of them does not change, and is not what the store has. */
async function staleFindings(
  deps: AuditDeps,
  { node, network, told }: Told,
  signal: AbortSignal,
): Promise<readonly AuditFinding[]> {
  const { store, clock } = deps
  let before = told
  let stale = store.view((tx) => staleSubjects(tx, node.id, before))
  if (network !== undefined) stale = stale.filter((id) => id === '' || id === network)
  for (let times = 0; stale.length > 0 && times < askedAgainMax; times++) {
    await wait(clock, againMs, signal)
    const now = (await askAudit(deps, node, network, signal)).told
    const still = store.view((tx) => staleSubjects(tx, node.id, now))
    stale = stale.filter((id) => still.includes(id) && digestOf(now, id) === digestOf(before, id))
    before = now
  }
  return store.view((tx) => stale.map((subject) => staleFinding(tx, subject)))
}

function digestOf(told: readonly ToldSubject[], subject: string): string | undefined {
  return told.find(({ id }) => id === subject)?.digest
}

/** Ids of the networks that the node should hold and was told otherwise of; empty for the paths of nodes. */
function staleSubjects(tx: ReadTx, node: NodeId, told: readonly ToldSubject[]): readonly string[] {
  const held = [...tx.all('networks')].filter(({ id }) => storeOverlay.isHeldBy(tx, id, node))
  const networks = held.filter(({ id }) => {
    const view = storeOverlay.view(tx, networkId(id))
    return view !== undefined && digestOf(told, id) !== viewDigest(viewAt(view, node))
  })
  const arePaths = digestOf(told, '') === pathsDigest(storeOverlay.paths(tx))
  return [...networks.map(({ id }) => id), ...(arePaths ? [] : [''])]
}
