// Opens a stream into a container on any node of the cluster: here when its agent is here, else by the manager that has it.
import { SwarmError } from '../../proto/errors.ts'
import type { StreamFrame, StreamOpen } from '../../proto/gen/tsswarm/v1/streams.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import type { MessageStream } from '../../proto/lib/message-stream.ts'
import type { Node, NodeId } from '../../proto/objects/index.ts'
import type { NodeStream, StreamHub } from './stream-hub.ts'

export interface NodeStreamsDeps {
  readonly selfNodeId: () => NodeId
  readonly hub: Pick<StreamHub, 'open'>
  /** RelayStream of another manager. Errors: UNAVAILABLE. */
  readonly openRelay: (
    manager: NodeId,
    signal: AbortSignal,
  ) => MessageStream<StreamFrame, StreamFrame>
}

/** Errors: UNAVAILABLE (the node is not connected, or lost), RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED, CANCELLED. */
export type OpenNodeStream = (
  node: Node,
  open: StreamOpen,
  signal: AbortSignal,
) => Promise<NodeStream>

export function nodeStreams({ selfNodeId, hub, openRelay }: NodeStreamsDeps): OpenNodeStream {
  return async (node, open, signal) => {
    const manager = node.sessionManagerId
    if (manager === undefined) {
      const name = node.description?.hostname ?? node.id
      throw new SwarmError('UNAVAILABLE', `node ${name} is not available (${node.state})`)
    }
    if (manager === selfNodeId()) return await hub.open(node.id, open, signal)
    const { controller, release } = childController(signal)
    const relay = openRelay(manager, controller.signal)
    // A stream that breaks shows where it is read.
    relay.send({ kind: { $case: 'open', value: { ...open, nodeId: node.id } } }).catch(() => {})
    return {
      ...relay,
      close: (error) => {
        release()
        relay.close(error)
      },
      // What is lost between managers shows where it is read.
      lost: childController().controller.signal,
    }
  }
}
