// The leader's answers to one reporting manager, gathered for a moment.
import type { NodeStatusAck, SessionReportAck } from '../../proto/gen/tsswarm/v1/membership.ts'
import type { Clock } from '../../proto/lib/clock.ts'

export type SendToManager = (ack: SessionReportAck) => Promise<void>

export class ManagerLink {
  readonly #clock: Clock
  readonly #send: SendToManager
  #sequence = 0
  #acks: NodeStatusAck[] = []
  #closes: string[] = []
  #isScheduled = false
  #isClosed = false

  constructor(clock: Clock, send: SendToManager) {
    this.#clock = clock
    this.#send = send
  }

  answer(sequence: number): void {
    this.#sequence = sequence
    this.#schedule()
  }

  acknowledge(ack: NodeStatusAck): void {
    this.#acks.push(ack)
    this.#schedule()
  }

  closeSession(id: string): void {
    this.#closes.push(id)
    this.#schedule()
  }

  close(): void {
    this.#isClosed = true
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#clock.setTimer(0, () => {
      this.#isScheduled = false
      if (this.#isClosed) return
      const ack = { sequence: this.#sequence, acks: this.#acks, closeSessionIds: this.#closes }
      this.#acks = []
      this.#closes = []
      // A broken stream is noticed where it is read.
      this.#send(ack).catch(() => {})
    })
  }
}
