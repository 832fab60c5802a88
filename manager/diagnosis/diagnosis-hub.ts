// Questions to nodes about their network, over the streams that their agents opened, here or on another manager. Not for
// what is asked (audit-network.ts, trace-network.ts). Each question has a deadline, and a node answers a few at a time.
import { SwarmError } from '../../proto/errors.ts'
import type {
  AgentDiagnosisMessage,
  DiagnosisAnswer,
  DiagnosisRequest,
} from '../../proto/gen/tsswarm/v1/diagnosis.ts'
import type { RelayDiagnosisRequest } from '../../proto/gen/tsswarm/v1/membership.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import { newId } from '../../proto/lib/ids.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import type { Random } from '../../proto/lib/random.ts'
import { type NodeId, nodeId } from '../../proto/objects/index.ts'
import type { Caller } from '../rpc/caller.ts'

export type Question = NonNullable<DiagnosisRequest['kind']>
export type NodeAnswer = NonNullable<DiagnosisAnswer['kind']>

export interface DiagnosisHubDeps {
  readonly clock: Clock
  readonly random: Random
}

interface AgentStream {
  readonly send: (message: DiagnosisRequest) => Promise<void>
  readonly waiting: Map<string, (answer: DiagnosisAnswer | SwarmError) => void>
  readonly end: (reason: SwarmError) => void
}

const questionsMax = 64
/** No question may wait longer, whatever a manager asks for. */
const waitMaxMs = 60_000

export class DiagnosisHub {
  readonly #deps: DiagnosisHubDeps
  readonly #streams = new Map<NodeId, AgentStream>()

  constructor(deps: DiagnosisHubDeps) {
    this.#deps = deps
  }

  /** Serves the stream of an agent until it ends. Errors: PERMISSION_DENIED, ALREADY_EXISTS (a newer stream). */
  async handleDiagnose(
    caller: Caller,
    incoming: AsyncIterable<AgentDiagnosisMessage>,
    send: (message: DiagnosisRequest) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    if (caller.kind !== 'node') {
      throw new SwarmError('PERMISSION_DENIED', 'only nodes with a certificate are diagnosed')
    }
    const id = caller.nodeId
    const { controller, release } = childController(signal)
    const stream: AgentStream = {
      send,
      waiting: new Map(),
      end: (reason) => controller.abort(reason),
    }
    const newer = new SwarmError('ALREADY_EXISTS', `node ${id} has a newer diagnosis stream`)
    this.#streams.get(id)?.end(newer)
    this.#streams.set(id, stream)
    const ended = new Promise<void>((resolve) => {
      if (controller.signal.aborted) resolve()
      controller.signal.addEventListener('abort', () => resolve(), { once: true })
    })
    try {
      await Promise.race([readAnswers(stream, incoming), ended])
    } finally {
      if (this.#streams.get(id) === stream) this.#streams.delete(id)
      const lost = new SwarmError('UNAVAILABLE', `the connection to node ${id} was lost`)
      for (const settle of [...stream.waiting.values()]) settle(lost)
      release()
    }
    if (controller.signal.reason instanceof SwarmError) throw controller.signal.reason
  }

  /**
   * Asks a node whose stream is here. Errors: UNAVAILABLE (no stream, it broke, or the node could not answer),
   * DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED (too many questions), CANCELLED.
   */
  async ask(
    id: NodeId,
    question: Question,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<NodeAnswer> {
    const answer = await this.#ask(id, question, waitMs, signal)
    if (answer.kind !== undefined && answer.err === '') return answer.kind
    throw new SwarmError('UNAVAILABLE', answer.err === '' ? 'the answer is empty' : answer.err)
  }

  /** RelayDiagnosis of the ManagerPeer service: another manager asks a node whose stream is here. Errors: as ask. */
  async handleRelay(
    caller: Caller,
    request: RelayDiagnosisRequest,
    signal: AbortSignal,
  ): Promise<DiagnosisAnswer> {
    if (caller.kind !== 'node' || caller.role !== 'manager') {
      throw new SwarmError('PERMISSION_DENIED', 'only managers relay questions to nodes')
    }
    const question = request.request?.kind
    if (question === undefined) {
      throw new SwarmError('INVALID_ARGUMENT', 'a relayed question says what is asked')
    }
    return await this.#ask(nodeId(request.nodeId), question, request.waitMs, signal)
  }

  #ask(
    id: NodeId,
    question: Question,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<DiagnosisAnswer> {
    const stream = this.#streams.get(id)
    if (stream === undefined) {
      const text = `node ${id} is not connected to this manager`
      return Promise.reject(new SwarmError('UNAVAILABLE', text))
    }
    if (stream.waiting.size >= questionsMax) {
      const text = `node ${id} has ${questionsMax} questions to answer already: try again`
      return Promise.reject(new SwarmError('RESOURCE_EXHAUSTED', text))
    }
    const { clock, random } = this.#deps
    const requestId = newId(random)
    const bound = Math.min(waitMs, waitMaxMs)
    return new Promise((resolve, reject) => {
      const settle = (answer: DiagnosisAnswer | SwarmError): void => {
        stream.waiting.delete(requestId)
        timer.cancel()
        signal.removeEventListener('abort', cancel)
        if (answer instanceof SwarmError) reject(answer)
        else resolve(answer)
      }
      const cancel = (): void => settle(new SwarmError('CANCELLED', 'nobody waits for it any more'))
      const timer = clock.setTimer(bound, () => {
        settle(new SwarmError('DEADLINE_EXCEEDED', `there was no answer within ${bound / 1000} s`))
      })
      stream.waiting.set(requestId, settle)
      signal.addEventListener('abort', cancel, { once: true })
      if (signal.aborted) return cancel()
      // A stream that breaks ends its questions where it is read.
      stream.send({ id: requestId, kind: question }).catch(() => {})
    })
  }
}

async function readAnswers(
  stream: AgentStream,
  incoming: AsyncIterable<AgentDiagnosisMessage>,
): Promise<void> {
  // Answers to what nobody waits for any more are late, not wrong.
  for await (const { kind } of incoming) {
    if (kind?.$case === 'answer') stream.waiting.get(kind.value.id)?.(kind.value)
  }
}
