// NodeVolumes: asks nodes for their volumes, or to change them. Answers as they answer; a node that does not is named.

import { SwarmError } from '../../proto/errors.ts'
import type {
  NodeVolumesAnswer,
  NodeVolumesRequest,
  NodeVolumesResponse,
} from '../../proto/gen/tsswarm/v1/control.ts'
import type { VolumeRequest } from '../../proto/gen/tsswarm/v1/volume.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import type { Node } from '../../proto/objects/index.ts'
import { findNode } from '../controlapi/lookup.ts'
import type { Caller } from '../rpc/caller.ts'
import type { AuditDeps } from './audit-network.ts'
import { inOrderOfAnswer } from './in-order-of-answer.ts'
import { hostName } from './names.ts'

const atOnceMax = 16

/** The handler of NodeVolumes. Errors: INVALID_ARGUMENT, NOT_FOUND, AMBIGUOUS (node), NO_LEADER. */
export function nodeVolumes(
  deps: Pick<AuditDeps, 'store' | 'cluster' | 'ask'>,
): (
  caller: Caller,
  request: NodeVolumesRequest,
  signal: AbortSignal,
) => AsyncGenerator<NodeVolumesResponse, void, undefined> {
  return async function* (_caller, { nodes: wanted, request }, signal) {
    if (request?.kind === undefined) {
      throw new SwarmError('INVALID_ARGUMENT', 'a question about volumes says what is asked')
    }
    await deps.cluster.readBarrier(signal)
    const self = deps.cluster.selfNodeId()
    const nodes = deps.store.view((tx) => {
      const named = wanted.map((reference) => findNode(tx, reference, self))
      return named.length > 0 ? distinct(named) : [...tx.all('nodes')]
    })
    yield { kind: { $case: 'asked', value: { names: nodes.map(hostName) } } }
    const { controller, release } = childController(signal)
    const ask = (node: Node): Promise<NodeVolumesAnswer> =>
      askNode(deps, node, request, controller.signal)
    try {
      for await (const value of inOrderOfAnswer(nodes, atOnceMax, ask)) {
        if (signal.aborted) return
        yield { kind: { $case: 'answer', value } }
      }
    } finally {
      controller.abort()
      release()
    }
  }
}

function distinct(nodes: readonly Node[]): readonly Node[] {
  return [...new Map(nodes.map((one) => [one.id, one])).values()]
}

async function askNode(
  { ask }: Pick<AuditDeps, 'ask'>,
  node: Node,
  value: VolumeRequest,
  signal: AbortSignal,
): Promise<NodeVolumesAnswer> {
  const from = { nodeId: node.id, name: hostName(node) }
  try {
    const answer = await ask(node, { $case: 'volume', value }, signal)
    if (answer.$case === 'volume') return { ...from, err: '', reply: answer.value }
    return { ...from, err: 'it answered something else: upgrade it', reply: undefined }
  } catch (err) {
    return { ...from, err: err instanceof Error ? err.message : String(err), reply: undefined }
  }
}
