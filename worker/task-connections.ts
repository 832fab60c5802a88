// What is to be done next about the networks that a running task was connected to. Pure.
import {
  type ConnectionStatus,
  isWired,
  type NetworkId,
  type TaskAttachment,
} from '../proto/objects/index.ts'

export type Wiring =
  | { readonly kind: 'connect'; readonly attachment: TaskAttachment }
  | {
      readonly kind: 'disconnect'
      readonly networkId: NetworkId
      readonly addresses: readonly string[]
    }

/** `statuses`: what was done before. Undefined: nothing is to be done. */
export function nextWiring(
  attachments: readonly TaskAttachment[],
  statuses: readonly ConnectionStatus[],
): Wiring | undefined {
  for (const { networkId, addresses, state } of statuses) {
    const isKept = attachments.some((one) => isOf(one, { networkId, addresses }))
    if (state === 'connected' && !isKept) return { kind: 'disconnect', networkId, addresses }
  }
  for (const attachment of attachments) {
    const { networkId, addresses, connection } = attachment
    if (connection === undefined || addresses.length === 0) continue
    const state = statuses.find((status) => isOf(attachment, status))?.state
    if (isWired(attachment)) {
      if (state === undefined || state === 'gone') return { kind: 'connect', attachment }
    } else if (state === undefined || state === 'connected') {
      return { kind: 'disconnect', networkId, addresses }
    }
  }
  return undefined
}

/** The statuses after one more; what the cluster no longer knows of is left out. */
export function withConnection(
  attachments: readonly TaskAttachment[],
  statuses: readonly ConnectionStatus[],
  now: ConnectionStatus,
): readonly ConnectionStatus[] {
  const others = statuses.filter(({ networkId }) => networkId !== now.networkId)
  return [...others, now].filter((status) => attachments.some((one) => isOf(one, status)))
}

/** A network may be connected to again, with another address. */
function isOf(
  attachment: TaskAttachment,
  { networkId, addresses }: Pick<ConnectionStatus, 'networkId' | 'addresses'>,
): boolean {
  return attachment.networkId === networkId && attachment.addresses.join() === addresses.join()
}
