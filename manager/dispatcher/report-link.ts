// Hands this manager's sessions and their statuses to the leader, whoever that is: a report every 250 ms, statuses
// and new sessions sooner. Everything is said again to a new leader. Not for what the leader makes of it.
import type {
  NodeStatusBatch,
  SessionBeat,
  SessionReport,
  SessionReportAck,
} from '../../proto/gen/tsswarm/v1/membership.ts'
import { type Clock, type Timer, wait } from '../../proto/lib/clock.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { MessageStream } from '../../proto/lib/message-stream.ts'
import { type NodeId, sessionId } from '../../proto/objects/index.ts'
import type { AgentSession } from './agent-session.ts'
import type { StallMeter } from './stall-meter.ts'

export type ReportStream = MessageStream<SessionReport, SessionReportAck>

const reportMs = 250
/** News wait this long for company. */
const gatherMs = 15
const retryMs = 100
const beatsPerReportMax = 1_000
const statusBytesPerReportMax = 512 * 1024
/** A leader that does not answer for this long is given up; perhaps there is a new one. */
const silentMs = 3_000

export interface ReportLinkDeps {
  readonly leaderNodeId: () => NodeId | undefined
  readonly openReports: (leader: NodeId, signal: AbortSignal) => ReportStream
  readonly sessions: ReadonlyMap<string, AgentSession>
  /** The period agents were told, the longest still in use. */
  readonly heartbeatMs: () => number
  /** The leader wants the session ended. */
  readonly onClose: (session: AgentSession) => void
  readonly clock: Clock
  readonly meter: StallMeter
  readonly log: Logger
}

export class ReportLink {
  readonly #deps: ReportLinkDeps
  #heardAtMs: number
  #sequence = 0
  #reportedAtMs = Number.NEGATIVE_INFINITY
  #wake: () => void = () => {}
  #hasNews = false

  constructor(deps: ReportLinkDeps) {
    this.#deps = deps
    this.#heardAtMs = deps.meter.nowMs()
  }

  /** Time since a leader last answered, on the StallMeter. */
  silentMs(): number {
    return this.#deps.meter.nowMs() - this.#heardAtMs
  }

  /** There is something the leader should hear soon. */
  notify(): void {
    this.#hasNews = true
    this.#wake()
  }

  /** Reports until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, leaderNodeId, log } = this.#deps
    while (!signal.aborted) {
      const leader = leaderNodeId()
      if (leader !== undefined) {
        try {
          await this.#runStream(leader, signal)
        } catch (err) {
          if (!signal.aborted) log.info({ leader, err }, 'link to leader ended')
        }
      }
      await wait(clock, retryMs, signal)
    }
  }

  async #runStream(leader: NodeId, signal: AbortSignal): Promise<void> {
    const { controller, release } = childController(signal)
    const stream = this.#deps.openReports(leader, controller.signal)
    for (const session of this.#deps.sessions.values()) session.startAnew()
    this.#hasNews = true
    const openedAtMs = this.#deps.meter.nowMs()
    const reading = this.#readAcks(stream)
    // The end of the stream also ends the sending.
    const ended = reading.finally(() => {
      controller.abort()
      this.#wake()
    })
    try {
      while (!controller.signal.aborted) {
        await this.#sendReports(stream)
        await this.#untilDue(controller.signal)
        const heardAtMs = Math.max(openedAtMs, this.#heardAtMs)
        if (this.#deps.meter.nowMs() - heardAtMs > silentMs) break
        if (this.#deps.leaderNodeId() !== leader) break
      }
    } finally {
      stream.close()
      controller.abort()
      release()
      await ended.catch(() => {})
    }
    await reading
  }

  async #readAcks(stream: ReportStream): Promise<void> {
    const { sessions, meter, onClose } = this.#deps
    for await (const ack of stream.incoming) {
      this.#heardAtMs = meter.nowMs()
      for (const { sessionId: id, sequence } of ack.acks) {
        sessions.get(sessionId(id))?.acknowledge(sequence)
      }
      for (const id of ack.closeSessionIds) {
        const session = sessions.get(sessionId(id))
        if (session !== undefined) onClose(session)
      }
    }
  }

  /** Waits for news, gathered a little, or for the next regular report. */
  async #untilDue(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps
    const sinceMs = (): number => clock.monotonicMs() - this.#reportedAtMs
    if (!this.#hasNews && sinceMs() < reportMs) await this.#newsOr(reportMs - sinceMs(), signal)
    if (this.#hasNews && sinceMs() < gatherMs) await wait(clock, gatherMs - sinceMs(), signal)
  }

  #newsOr(delayMs: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const timer: Timer = this.#deps.clock.setTimer(delayMs, () => this.#wake())
      this.#wake = () => {
        timer.cancel()
        this.#wake = () => {}
        resolve()
      }
    })
  }

  /** One report at least: the leader also wants to hear that this manager lives. */
  async #sendReports(stream: ReportStream): Promise<void> {
    this.#hasNews = false
    this.#reportedAtMs = this.#deps.clock.monotonicMs()
    let beats: SessionBeat[] = []
    let statuses: NodeStatusBatch[] = []
    let statusBytes = 0
    const flush = (): Promise<void> => {
      const report = this.#report(beats, statuses)
      beats = []
      statuses = []
      statusBytes = 0
      return stream.send(report)
    }
    const nowMs = this.#deps.meter.nowMs()
    for (const session of [...this.#deps.sessions.values()]) {
      const beat = session.takeBeat(nowMs, this.#reportedAtMs)
      if (beat !== undefined) beats.push(beat)
      const batch = session.takeStatuses()
      if (batch !== undefined) statuses.push(batch)
      statusBytes += batch?.statuses.length ?? 0
      if (beats.length >= beatsPerReportMax || statusBytes >= statusBytesPerReportMax) await flush()
    }
    await flush()
  }

  #report(sessions: readonly SessionBeat[], statuses: readonly NodeStatusBatch[]): SessionReport {
    this.#sequence += 1
    const { heartbeatMs } = this.#deps
    return { sequence: this.#sequence, sessions, statuses, heartbeatMs: heartbeatMs() }
  }
}
