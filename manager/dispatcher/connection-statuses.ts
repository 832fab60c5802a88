// What the word of a node makes of the networks that a running task was connected to. Pure.
import type { ConnectionStatus, Task, TaskAttachment } from '../../proto/objects/index.ts'

/**
 * The attachments after it; the same list when that changes nothing. A word about another address than it has now is of an
 * earlier connection to that network.
 */
export function withConnections(
  attachments: Task['attachments'],
  statuses: readonly ConnectionStatus[],
): Task['attachments'] {
  if (statuses.length === 0) return attachments
  const next = attachments.flatMap((one) => afterStatus(one, statuses))
  const isSame =
    next.length === attachments.length && next.every((one, i) => one === attachments[i])
  return isSame ? attachments : next
}

function afterStatus(
  attachment: TaskAttachment,
  statuses: readonly ConnectionStatus[],
): readonly TaskAttachment[] {
  const { networkId, addresses, connection } = attachment
  const status = statuses.find(
    (one) => one.networkId === networkId && one.addresses.join() === addresses.join(),
  )
  if (connection === undefined || status === undefined) return [attachment]
  switch (connection.phase) {
    case 'asked':
      if (status.state === 'gone') return [attachment]
      if (status.state === 'connected') {
        return [{ ...attachment, connection: { ...connection, phase: 'connected', err: '' } }]
      }
      // Its node has nothing of it: the addresses are free again.
      return [
        {
          networkId,
          addresses: [],
          connection: { ...connection, phase: 'failed', err: status.err },
        },
      ]
    case 'drained':
      return status.state === 'connected' ? [attachment] : []
    case 'connected':
    case 'leaving':
    case 'failed':
      return [attachment]
  }
}
