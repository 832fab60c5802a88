// Asks any node of the cluster about its network: here when its agent's stream is here, else by the manager that has it.
import { SwarmError } from '../../proto/errors.ts'
import type { DiagnosisAnswer } from '../../proto/gen/tsswarm/v1/diagnosis.ts'
import type { RelayDiagnosisRequest } from '../../proto/gen/tsswarm/v1/membership.ts'
import type { Node, NodeId } from '../../proto/objects/index.ts'
import type { DiagnosisHub, NodeAnswer, Question } from './diagnosis-hub.ts'

export interface NodeAskerDeps {
  readonly selfNodeId: () => NodeId
  readonly hub: Pick<DiagnosisHub, 'ask'>
  /** RelayDiagnosis of another manager. Errors: UNAVAILABLE and those of DiagnosisHub.ask. */
  readonly relay: (
    manager: NodeId,
    request: RelayDiagnosisRequest,
    signal: AbortSignal,
  ) => Promise<DiagnosisAnswer>
}

/** Reads the whole kernel state of a node, which may hold thousands of services on a busy host. */
export const answerMs = 20_000

export type AskNode = (node: Node, question: Question, signal: AbortSignal) => Promise<NodeAnswer>

/** Errors: UNAVAILABLE, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, CANCELLED. */
export function nodeAsker({ selfNodeId, hub, relay }: NodeAskerDeps): AskNode {
  return async (node, question, signal) => {
    const manager = node.sessionManagerId
    if (manager === undefined) {
      const since = node.stateMessage === '' ? '' : `: ${node.stateMessage}`
      throw new SwarmError('UNAVAILABLE', `it is ${node.state}${since}`)
    }
    if (manager === selfNodeId()) return await hub.ask(node.id, question, answerMs, signal)
    const request = { id: '', kind: question }
    const relayed = { nodeId: node.id, request, waitMs: answerMs }
    const { kind, err } = await relay(manager, relayed, signal)
    if (kind !== undefined && err === '') return kind
    throw new SwarmError('UNAVAILABLE', err === '' ? 'the answer is empty' : err)
  }
}
