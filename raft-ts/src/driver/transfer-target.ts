// To whom leadership can be handed. Pure.
import type { Status } from '../core/config.ts'
import type { NodeId } from '../core/types.ts'
import type { TransferOutcome } from './outcomes.ts'

type Target =
  | { readonly kind: 'target'; readonly id: NodeId }
  | { readonly kind: 'outcome'; readonly outcome: TransferOutcome }

/** `wanted` undefined: the answering voter that has most of the log. */
export function transferTarget(status: Status, wanted: NodeId | undefined): Target {
  const { id, role, leader, conf, peers, transferringTo } = status
  if (role !== 'leader') return { kind: 'outcome', outcome: { kind: 'not-leader', leader } }
  if (transferringTo !== undefined) {
    return failed(`leadership is being handed over to member ${transferringTo} already`)
  }
  const voters = peers.filter((peer) => peer.active && conf.voters.includes(peer.id))
  const best = voters.toSorted((a, b) => b.match - a.match)[0]?.id
  const target = wanted ?? best
  if (target === undefined) return failed('there is no other voter that answers')
  if (target !== id && conf.voters.includes(target)) return { kind: 'target', id: target }
  return failed(`member ${target} is not another voter`)
}

function failed(reason: string): Target {
  return { kind: 'outcome', outcome: { kind: 'failed', reason } }
}
