// What the leader's knowledge of sessions makes of a node's row. Pure.
import { isSameValue } from '../../proto/lib/same-value.ts'
import type { Node } from '../../proto/objects/index.ts'
import type { TableEntry } from './session-table.ts'

/** The node as the table knows it; undefined when it is that already. */
export function nodeAs(node: Node, entry: TableEntry, nowMs: number): Node | undefined {
  const next = nextNode(node, entry, nowMs)
  const isSame =
    next.state === node.state &&
    next.sessionId === node.sessionId &&
    next.sessionManagerId === node.sessionManagerId &&
    next.address === node.address &&
    isSameValue(node.description, next.description)
  return isSame ? undefined : next
}

function nextNode(node: Node, entry: TableEntry, nowMs: number): Node {
  const { isDown, leaving } = entry
  if (isDown && leaving?.returns === false) {
    return goneNode(node, { state: 'down', message: 'the node has left', nowMs })
  }
  if (isDown) return goneNode(node, { state: 'down', message: 'heartbeat failure', nowMs })
  if (leaving === undefined) return readyNode(node, entry, nowMs)
  const message = 'its daemon was stopped and is expected back'
  return goneNode(node, { state: 'disconnected', message, nowMs })
}

function goneNode(
  node: Node,
  facts: {
    readonly state: 'down' | 'disconnected'
    readonly message: string
    readonly nowMs: number
  },
): Node {
  return {
    ...node,
    state: facts.state,
    stateAtMs: node.state === facts.state ? node.stateAtMs : facts.nowMs,
    stateMessage: facts.message,
    sessionId: undefined,
    sessionManagerId: undefined,
  }
}

function readyNode(node: Node, entry: TableEntry, nowMs: number): Node {
  return {
    ...node,
    state: 'ready',
    stateAtMs: node.state === 'ready' ? node.stateAtMs : nowMs,
    stateMessage: '',
    sessionId: entry.sessionId,
    sessionManagerId: entry.managerId,
    description: entry.description ?? node.description,
    address: entry.address === '' ? node.address : entry.address,
  }
}
