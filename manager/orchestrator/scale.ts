// Which slots go when a service is scaled down.
// Source: Docker Swarm: slots without a usable task first, then from the nodes with the most copies, there
// those that do not run first.
import { isActive, isTerminal, type NodeId, TaskState } from '../../proto/objects/index.ts'
import type { ServiceView } from './service-view.ts'
import { byPlaces, isOnLostNode, type Slot } from './slot.ts'

interface Ranked {
  readonly slot: Slot
  /** How many copies its node would still have with it; Infinity when it is no use. */
  readonly copy: number
  readonly running: boolean
}

/** The slots to remove so that `replicas` of the filled ones are left. */
export function slotsToRemove(
  filled: readonly Slot[],
  replicas: number,
  view: ServiceView,
): readonly Slot[] {
  if (filled.length <= replicas) return []
  const ranked = rank(filled, view)
  ranked.sort(
    (a, b) =>
      compare(b.copy, a.copy) || Number(a.running) - Number(b.running) || byPlaces(b.slot, a.slot),
  )
  return ranked.slice(0, filled.length - replicas).map(({ slot }) => slot)
}

function rank(filled: readonly Slot[], view: ServiceView): Ranked[] {
  const copies = new Map<NodeId, number>()
  const keepFirst = [...filled].sort(
    (a, b) => Number(isRunning(b)) - Number(isRunning(a)) || byPlaces(a, b),
  )
  return keepFirst.map((slot) => {
    const { head } = slot
    const running = isRunning(slot)
    const useless = !isActive(head) || isTerminal(head.state) || isOnLostNode(head, view)
    if (head.nodeId === undefined || useless) return { slot, copy: Infinity, running }
    const copy = (copies.get(head.nodeId) ?? 0) + 1
    copies.set(head.nodeId, copy)
    return { slot, copy, running }
  })
}

function isRunning(slot: Slot): boolean {
  return slot.head.state === TaskState.RUNNING && isActive(slot.head)
}

function compare(a: number, b: number): number {
  return a === b ? 0 : a - b
}
