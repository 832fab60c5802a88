// Long calls by node, so that they are cut when the node is removed, demoted, or its certificate expires.
import { SwarmError } from '../../proto/errors.ts'
import type { Clock, Timer } from '../../proto/lib/clock.ts'
import type { NodeId, NodeRole } from '../../proto/objects/index.ts'
import type { AnyCall } from './adapter.ts'
import { peerFacts } from './authorize.ts'
import type { Caller } from './caller.ts'

const lookMs = 60_000

interface LongCall {
  readonly cut: (reason: SwarmError) => void
  readonly isManager: boolean
}

export class CutList {
  readonly #clock: Clock
  readonly #calls = new Map<NodeId, Set<LongCall>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Registers a call; the result unregisters it. */
  readonly track = (
    caller: Caller,
    call: AnyCall,
    cut: (reason: SwarmError) => void,
  ): (() => void) => {
    if (caller.kind !== 'node') return () => {}
    const entry: LongCall = { cut, isManager: caller.role === 'manager' }
    const calls = this.#calls.get(caller.nodeId) ?? new Set()
    this.#calls.set(caller.nodeId, calls.add(entry))
    const cert = call.getAuthContext().sslPeerCertificate
    const notAfterMs = cert === undefined ? undefined : peerFacts(cert)?.notAfterMs
    const stopWaiting = this.#atExpiry(notAfterMs ?? 0, () =>
      cut(refusal(caller.nodeId, 'its certificate has expired')),
    )
    return () => {
      stopWaiting()
      calls.delete(entry)
      if (calls.size === 0) this.#calls.delete(caller.nodeId)
    }
  }

  /** Cuts whatever is not as it was when it was let in, after changes of nodes were missed. */
  cutChanged(roleOf: (id: NodeId) => NodeRole | undefined): void {
    for (const id of [...this.#calls.keys()]) {
      const role = roleOf(id)
      if (role === undefined) this.cutNode(id)
      else if (role === 'worker') this.cutManager(id)
    }
  }

  /** The node is not part of the cluster any more. */
  cutNode(id: NodeId): void {
    for (const call of this.#calls.get(id) ?? []) call.cut(refusal(id, 'it was removed'))
  }

  /** The node is not a manager any more: calls that it made as one end. */
  cutManager(id: NodeId): void {
    for (const call of this.#calls.get(id) ?? []) {
      if (call.isManager) call.cut(refusal(id, 'it is not a manager any more'))
    }
  }

  /** In steps: certificates live longer than a timer can wait, and the wall clock may be set meanwhile. */
  #atExpiry(notAfterMs: number, fn: () => void): () => void {
    let timer: Timer
    const look = (): void => {
      const leftMs = notAfterMs - this.#clock.wallMs()
      if (leftMs <= 0) fn()
      else timer = this.#clock.setTimer(Math.min(leftMs, lookMs), look)
    }
    timer = this.#clock.setTimer(0, look)
    return () => timer.cancel()
  }
}

function refusal(id: NodeId, why: string): SwarmError {
  return new SwarmError('PERMISSION_DENIED', `connection of node ${id} closed: ${why}`)
}
