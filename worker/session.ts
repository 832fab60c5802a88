// The agent's session: one stream to any manager, opened again and again; under a renewed certificate before the old one is let go. Up go heartbeats, statuses and the node's
// description, down come assignments. Not for what assignments do (task-manager.ts) nor for gRPC (session-grpc.ts).
import { assignmentUpdateFromProto, taskStatusToProto } from '../proto/codec/assignment.ts'
import { nodeDescriptionToProto } from '../proto/codec/node.ts'
import { assignedPayloadFromProto } from '../proto/codec/payload.ts'
import { SwarmError } from '../proto/errors.ts'
import type {
  AgentMessage,
  ManagerMessage,
  OverlayAck,
  SessionConfig,
} from '../proto/gen/tsswarm/v1/dispatcher.ts'
import { createBackoff } from '../proto/lib/backoff.ts'
import { type Clock, type Timer, wait } from '../proto/lib/clock.ts'
import { childController } from '../proto/lib/lifecycle.ts'
import type { Logger } from '../proto/lib/log.ts'
import type { MessageStream } from '../proto/lib/message-stream.ts'
import type { Random } from '../proto/lib/random.ts'
import type {
  AssignedPayload,
  AssignmentUpdate,
  NodeDescription,
  NodeId,
  Stamp,
} from '../proto/objects/index.ts'
import { ManagerPicker } from './manager-picker.ts'
import type { ManagerAddress } from './state-records.ts'
import type { StatusReporter } from './status-reporter.ts'

export const sessionProtocol = 1

export type SessionStream = MessageStream<AgentMessage, ManagerMessage>

export interface SessionTransport {
  /** Opens a stream; failures to connect show when it is read. The signal cuts it. */
  open(manager: ManagerAddress, signal: AbortSignal): SessionStream
}

/** What the cluster must know before it gives addresses again or stops a task. */
export interface OverlayProgress {
  readonly current: () => OverlayAck | undefined
  /** Calls the listener after each rise; the result ends that. */
  readonly onRise: (listener: () => void) => () => void
}

/** `reopen`: only a full set of a new session helps. */
export type UpdateOutcome = 'applied' | 'ignored' | 'reopen'

export interface SessionDeps {
  readonly transport: SessionTransport
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly nodeId: NodeId
  readonly reporter: StatusReporter
  /** Empty: managers see where the connection comes from. */
  readonly advertiseAddress: () => string
  /** Asked at the start of a session, every 20 s, and after each change of which onDescription tells. */
  readonly describe: () => NodeDescription
  /** Calls the listener when describe has more to say than before; the result ends that. */
  readonly onDescription?: (listener: () => void) => () => void
  /** The last known managers; asked before each attempt. */
  readonly managers: () => readonly ManagerAddress[]
  /** The highest stamp that was applied. */
  readonly applied: () => Stamp | undefined
  /** How far this node followed the overlay, said to each manager; absent: it has none. */
  readonly overlay?: OverlayProgress
  readonly onConfig: (config: SessionConfig) => void
  readonly onUpdate: (update: AssignmentUpdate) => Promise<UpdateOutcome>
  /** A secret or config that the next update needs. */
  readonly onPayload?: (payload: AssignedPayload) => void
  /** Told when a session begins, and with undefined when it has ended. */
  readonly onSession?: (manager: ManagerAddress | undefined) => void
  /** Asked when the signal aborts: how long until this agent is back, its containers running; 0: never. */
  readonly graceMs: () => number
  /** Calls the listener when connections are to be made anew: another certificate, another address; the result ends that. */
  readonly onRenewal?: (listener: () => void) => () => void
  /** Told why an attempt or a session ended. */
  readonly onFailure?: (err: unknown) => void
}

const backoffFirstMs = 100
const backoffMaxMs = 2_000
const answerFirstMs = 2_000
const answerMaxMs = 10_000
const describeMs = 20_000
/** What comes and goes is told no more often than this. */
const describeAgainMs = 1_000
const goodbyeMs = 700
/** A session that lasted this long was a good one: the next attempt comes soon. */
const settledMs = 5_000

/** Keeps a session open until the signal aborts. */
export async function runSessions(deps: SessionDeps, signal: AbortSignal): Promise<void> {
  const { clock, random } = deps
  const backoff = createBackoff({ firstMs: backoffFirstMs, maxMs: backoffMaxMs, random })
  const picker = new ManagerPicker(random, deps.nodeId)
  const elder = new Elder(deps)
  while (!signal.aborted) {
    const manager = elder.takeManager() ?? picker.pick(deps.managers())
    const startedMs = clock.monotonicMs()
    if (manager !== undefined) {
      const answerMs = Math.min(answerMaxMs, answerFirstMs * 2 ** picker.failures(manager))
      const session = new Session(deps, manager, { answerMs, onStarted: () => elder.retire() })
      if (await untilEndOrRenewal(deps, session, signal)) {
        backoff.reset()
        elder.follow(session)
        continue
      }
      const hasSettled = clock.monotonicMs() - startedMs >= settledMs
      if (hasSettled) backoff.reset()
      picker.note(manager, hasSettled)
    }
    await wait(clock, backoff.nextMs(), signal)
  }
  await elder.ended()
}

/** Whether the session goes on, but under a certificate that was renewed: another one is to take its place. */
async function untilEndOrRenewal(
  deps: SessionDeps,
  session: Session,
  signal: AbortSignal,
): Promise<boolean> {
  const ended = session.run(signal).catch((err: unknown) => {
    if (signal.aborted || session.isRetired) return
    if (session.hasSuccessor) {
      deps.log.debug({ manager: session.manager.address, err }, 'session ended before the next')
      return
    }
    deps.log.warn({ manager: session.manager.address, err }, 'session ended')
    deps.onFailure?.(err)
  })
  session.ended = ended
  let stopWatching = (): void => {}
  const renewed = new Promise<'renewed'>((resolve) => {
    stopWatching = deps.onRenewal?.(() => resolve('renewed')) ?? stopWatching
  })
  const first = await Promise.race([ended, renewed])
  stopWatching()
  if (first !== 'renewed' || signal.aborted) {
    await ended
    return false
  }
  if (session.hasStarted) return true
  // It has not begun, and would begin with the old certificate.
  session.retire()
  await ended
  return false
}

/** The session that goes on until its successor has begun. */
class Elder {
  readonly #deps: SessionDeps
  #session: Session | undefined
  /** The first attempt at a successor goes to the same manager, which is alive. */
  #isFirst = false

  constructor(deps: SessionDeps) {
    this.#deps = deps
  }

  follow(session: Session): void {
    this.#deps.log.info(
      { manager: session.manager.address },
      'connections are made anew: new session',
    )
    session.hasSuccessor = true
    this.#session = session
    this.#isFirst = true
    void session.ended.then(() => {
      if (this.#session === session) this.#session = undefined
    })
  }

  takeManager(): ManagerAddress | undefined {
    const manager = this.#isFirst ? this.#session?.manager : undefined
    this.#isFirst = false
    return manager
  }

  retire(): void {
    this.#session?.retire()
    this.#session = undefined
  }

  async ended(): Promise<void> {
    await this.#session?.ended
  }
}

class Session {
  readonly #deps: SessionDeps
  readonly manager: ManagerAddress
  readonly #answerMs: number
  readonly #onStarted: () => void
  /** Resolves when it is over, for whatever reason. */
  ended: Promise<void> = Promise.resolve()
  /** Another session is being opened to take its place: its manager may end it when that one arrives. */
  hasSuccessor = false
  #isRetired = false
  #stream: SessionStream | undefined
  #heartbeatMs = 500
  #beats = 0
  #beatTimer: Timer | undefined
  #answerTimer: Timer | undefined
  #describeTimer: Timer | undefined
  #hasStarted = false
  #described = ''
  #describedAtMs = 0
  readonly #stopFollowing: (() => void)[] = []

  constructor(
    deps: SessionDeps,
    manager: ManagerAddress,
    options: { readonly answerMs: number; readonly onStarted: () => void },
  ) {
    this.#deps = deps
    this.manager = manager
    this.#answerMs = options.answerMs
    this.#onStarted = options.onStarted
  }

  get hasStarted(): boolean {
    return this.#hasStarted
  }

  get isRetired(): boolean {
    return this.#isRetired
  }

  /** Another session has taken its place: it ends without a word, and what it still hears counts no more. */
  retire(): void {
    this.#isRetired = true
    this.#cancelTimers()
    this.#stream?.close()
  }

  /** Until the stream ends, which is always a failure unless the signal aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { controller } = childController()
    const stream = this.#deps.transport.open(this.manager, controller.signal)
    this.#stream = stream
    const leave = (): void => this.#leave(stream)
    signal.addEventListener('abort', leave, { once: true })
    if (signal.aborted) leave()
    try {
      this.#answerTimer = this.#deps.clock.setTimer(this.#answerMs, () => {
        const text = `manager ${this.manager.address} did not answer within ${this.#answerMs} ms`
        stream.close(new SwarmError('DEADLINE_EXCEEDED', text))
      })
      this.#open()
      for await (const message of stream.incoming) {
        if (this.#isRetired) return
        await this.#receive(message)
      }
      throw new SwarmError('UNAVAILABLE', `manager ${this.manager.address} ended the session`)
    } finally {
      signal.removeEventListener('abort', leave)
      this.#stop()
      stream.close()
      controller.abort()
    }
  }

  /** Says goodbye, so that nobody takes the end for a failure; the manager then ends the stream. */
  #leave(stream: SessionStream): void {
    if (!this.#hasStarted) {
      stream.close()
      return
    }
    this.#beatTimer?.cancel()
    const value = { graceMs: this.#deps.graceMs() }
    this.#send({ kind: { $case: 'goodbye', value } })
    this.#answerTimer = this.#deps.clock.setTimer(goodbyeMs, () => stream.close())
  }

  #open(): void {
    const description = this.#deps.describe()
    this.#described = JSON.stringify(description)
    this.#describedAtMs = this.#deps.clock.monotonicMs()
    this.#send({
      kind: {
        $case: 'open',
        value: {
          description: nodeDescriptionToProto(description),
          applied: this.#deps.applied(),
          advertiseAddress: this.#deps.advertiseAddress(),
          protocol: sessionProtocol,
        },
      },
    })
  }

  async #receive({ kind }: ManagerMessage): Promise<void> {
    switch (kind?.$case) {
      case 'started':
        this.#refuseOlder(kind.value.config)
        return this.#started(kind.value.sessionId, kind.value.config)
      case 'config':
        this.#refuseOlder(kind.value)
        return this.#configure(kind.value)
      case 'ack':
        return this.#deps.reporter.acknowledge(kind.value.sequence)
      case 'payload':
        return this.#deps.onPayload?.(assignedPayloadFromProto(kind.value))
      case 'set':
      case 'changes': {
        const outcome = await this.#deps.onUpdate(assignmentUpdateFromProto(kind))
        if (outcome !== 'reopen') return
        throw new SwarmError(
          'UNAVAILABLE',
          `manager ${this.manager.address} sent assignments that do not follow: asking for all`,
        )
      }
      default:
        // A newer manager may say more than this program knows.
        return
    }
  }

  /** After the cluster was recovered without that manager, its word counts no more: not even on who the managers are. */
  #refuseOlder(config: SessionConfig | undefined): void {
    const known = this.#deps.applied()?.epoch ?? 0
    const epoch = config?.clusterEpoch ?? 0
    if (epoch === 0 || epoch >= known) return
    throw new SwarmError(
      'FAILED_PRECONDITION',
      `manager ${this.manager.address} holds an old history of the swarm (epoch ${epoch}, this node knows ${known}): ` +
        'the swarm was recovered without it. Make that host leave with `tsswarm swarm leave --force`, and join it anew',
    )
  }

  #started(sessionId: string, config: SessionConfig | undefined): void {
    this.#answerTimer?.cancel()
    this.#hasStarted = true
    this.#onStarted()
    this.#deps.log.info({ manager: this.manager.address, sessionId }, 'session started')
    this.#deps.onSession?.(this.manager)
    if (config !== undefined) this.#configure(config)
    this.#scheduleBeat(0)
    this.#describe()
    this.#followDescription()
    this.#followOverlay()
    this.#deps.reporter.connect((batch) => {
      const statuses = batch.statuses.map(taskStatusToProto)
      this.#send({ kind: { $case: 'statuses', value: { sequence: batch.sequence, statuses } } })
    })
  }

  #followOverlay(): void {
    const { overlay } = this.#deps
    if (overlay === undefined) return
    const tell = (): void => {
      const value = overlay.current()
      if (value !== undefined) this.#send({ kind: { $case: 'overlay', value } })
    }
    this.#stopFollowing.push(overlay.onRise(tell))
    tell()
  }

  #followDescription(): void {
    const { clock, onDescription } = this.#deps
    if (onDescription === undefined) return
    const stop = onDescription(() => {
      const sinceMs = clock.monotonicMs() - this.#describedAtMs
      this.#scheduleDescription(Math.max(0, describeAgainMs - sinceMs))
    })
    this.#stopFollowing.push(stop)
  }

  #configure(config: SessionConfig): void {
    const heartbeatMs = Math.max(50, config.heartbeatMs)
    const isNew = heartbeatMs !== this.#heartbeatMs
    this.#heartbeatMs = heartbeatMs
    if (isNew && this.#beatTimer !== undefined) this.#scheduleBeat(0)
    this.#deps.onConfig(config)
  }

  #scheduleBeat(delayMs: number): void {
    this.#beatTimer?.cancel()
    this.#beatTimer = this.#deps.clock.setTimer(delayMs, () => {
      this.#beats += 1
      this.#send({ kind: { $case: 'heartbeat', value: { sequence: this.#beats } } })
      this.#scheduleBeat(this.#heartbeatMs)
    })
  }

  #scheduleDescription(delayMs: number): void {
    this.#describeTimer?.cancel()
    this.#describeTimer = this.#deps.clock.setTimer(delayMs, () => this.#describe())
  }

  /** Tells what has changed since it was told last. */
  #describe(): void {
    const description = this.#deps.describe()
    const text = JSON.stringify(description)
    if (text !== this.#described) {
      this.#described = text
      this.#describedAtMs = this.#deps.clock.monotonicMs()
      this.#send({ kind: { $case: 'description', value: nodeDescriptionToProto(description) } })
    }
    this.#scheduleDescription(describeMs)
  }

  /** A stream that breaks shows where it is read. */
  #send(message: AgentMessage): void {
    this.#stream?.send(message).catch((err: unknown) => {
      this.#deps.log.debug({ err }, 'message to manager not sent')
    })
  }

  #stop(): void {
    this.#cancelTimers()
    // Its successor reports by now, or it never did.
    if (this.#isRetired || !this.#hasStarted) return
    this.#deps.reporter.disconnect()
    this.#deps.onSession?.(undefined)
  }

  #cancelTimers(): void {
    this.#answerTimer?.cancel()
    this.#beatTimer?.cancel()
    this.#describeTimer?.cancel()
    for (const stop of this.#stopFollowing.splice(0)) stop()
  }
}
