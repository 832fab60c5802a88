// To whom leadership can be handed. Pure.
import type { PeerStatus, Status } from '../core/config.ts'
import type { NodeId } from '../core/types.ts'
import type { TransferOutcome } from './outcomes.ts'

type Target =
  | { readonly kind: 'target'; readonly id: NodeId }
  | { readonly kind: 'outcome'; readonly outcome: TransferOutcome }

export interface TransferWish {
  /** Undefined: the answering voter that is best, see below. */
  readonly wanted: NodeId | undefined
  readonly priorityOf: (id: NodeId) => number
}

/** Of those who hold all that is committed the one of highest priority; else who has most of the log. */
export function transferTarget(status: Status, { wanted, priorityOf }: TransferWish): Target {
  const { id, role, leader, conf, peers, transferringTo, commit } = status
  if (role !== 'leader') return { kind: 'outcome', outcome: { kind: 'not-leader', leader } }
  if (transferringTo !== undefined) {
    return failed(`leadership is being handed over to member ${transferringTo} already`)
  }
  const voters = peers.filter((peer) => peer.active && conf.voters.includes(peer.id))
  const preference = (peer: PeerStatus): number =>
    peer.match >= commit ? priorityOf(peer.id) : Number.NEGATIVE_INFINITY
  const best = voters.toSorted(
    (a, b) => difference(preference(b), preference(a)) || b.match - a.match,
  )
  const target = wanted ?? best[0]?.id
  if (target === undefined) return failed('there is no other voter that answers')
  if (target !== id && conf.voters.includes(target)) return { kind: 'target', id: target }
  return failed(`member ${target} is not another voter`)
}

/** Of infinities too. */
function difference(a: number, b: number): number {
  return a === b ? 0 : a - b
}

function failed(reason: string): Target {
  return { kind: 'outcome', outcome: { kind: 'failed', reason } }
}
