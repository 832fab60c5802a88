// Looks again and again whether the address this node advertises is still one of its own, and has it moved when it is not.
import { type Clock, wait } from '../../proto/lib/clock.ts'
import type { Loop } from '../../proto/lib/lifecycle.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { InterfaceAddress } from './addresses.ts'
import { type Advertised, nextAdvertised } from './advertise.ts'

/** A look costs about 0.1 ms; a node that is not heard for 2.8 s counts as down. */
const lookMs = 500
/** So often in a row the address must be gone: one is often taken away just before another is given. */
const looksSoon = 2
/** An interface that is only late, as at boot, gets its time. */
const looksLate = 12

export interface AddressWatchDeps {
  readonly state: () => Advertised
  readonly addresses: () => readonly InterfaceAddress[]
  /** The same address, now known to be of this host. */
  readonly settle: (next: Advertised) => void
  readonly move: (next: Advertised) => Promise<void>
  readonly clock: Clock
  readonly log: Logger
}

export class AddressWatch {
  readonly #deps: AddressWatchDeps
  /** In a row, without the address. */
  #looks = 0
  #isLossTold = false

  constructor(deps: AddressWatchDeps) {
    this.#deps = deps
  }

  /** Runs as long as the node is part of a swarm. */
  readonly run: Loop = async (signal) => {
    while (!signal.aborted) {
      await wait(this.#deps.clock, lookMs, signal)
      if (!signal.aborted) await this.look()
    }
  }

  /** `isSure`: there is no time to wait for an address that may be about to come back, as at the start of the daemon. */
  async look(isSure = false): Promise<void> {
    const { state, addresses, settle, move, log } = this.#deps
    const { advertiseHost: from } = state()
    const step = nextAdvertised(state(), addresses())
    this.#looks = step.kind === 'move' || step.kind === 'lost' ? this.#looks + 1 : 0
    switch (step.kind) {
      case 'keep':
        this.#isLossTold = false
        return
      case 'settle':
        settle(step.next)
        return
      case 'lost':
        if (!this.#isLossTold && this.#looks >= looksSoon) {
          log.warn({ from, candidates: step.candidates }, 'this node has lost its address')
          this.#isLossTold = true
        }
        return
      case 'move': {
        const isDue = this.#looks >= (step.isSoon ? looksSoon : looksLate)
        if (!isDue && !(isSure && step.isSoon)) return
        const { advertiseHost: to, listenAddress } = step.next
        const { candidates } = step
        log.warn({ from, to, listenAddress, candidates }, 'this node has moved to another address')
        this.#looks = 0
        await move(step.next)
        return
      }
    }
  }
}
