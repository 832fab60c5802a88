// Answers the managers' questions about this node's network over a stream that the agent opened. Not for what the answers
// are (NodeDiagnosis). What is asked beyond a bound is refused at once, so that nothing piles up.
import type {
  AgentDiagnosisMessage,
  AuditNodeRequest,
  DiagnosisAnswer,
  DiagnosisRequest,
  LookupNameRequest,
  NameLookup,
  NodeAudit,
  TraceLeg,
  TraceLegRequest,
} from '../proto/gen/tsswarm/v1/diagnosis.ts'
import type { VolumeReply, VolumeRequest } from '../proto/gen/tsswarm/v1/volume.ts'
import { createBackoff } from '../proto/lib/backoff.ts'
import { type Clock, wait } from '../proto/lib/clock.ts'
import { childController } from '../proto/lib/lifecycle.ts'
import type { Logger } from '../proto/lib/log.ts'
import type { MessageStream } from '../proto/lib/message-stream.ts'
import type { Random } from '../proto/lib/random.ts'
import type { ManagerAddress } from './state-records.ts'

export type DiagnosisStream = MessageStream<AgentDiagnosisMessage, DiagnosisRequest>

export interface DiagnosisTransport {
  openDiagnosis(manager: ManagerAddress, signal: AbortSignal): DiagnosisStream
}

/** What this node knows of its own network and its volumes. */
export interface NodeDiagnosis {
  audit(request: AuditNodeRequest): Promise<NodeAudit>
  /** Errors: NOT_FOUND (no such container here), INVALID_ARGUMENT. */
  leg(request: TraceLegRequest): Promise<TraceLeg>
  /** Asks for a name as the container would. Errors: NOT_FOUND. */
  lookup(request: LookupNameRequest): Promise<NameLookup>
  /** The one question that may change something. A refusal is in the answer. */
  volume(request: VolumeRequest): Promise<VolumeReply>
}

export interface DiagnosisServerDeps {
  readonly transport: DiagnosisTransport
  readonly diagnosis: NodeDiagnosis
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

/** Each reads the whole network of this node once. */
const atOnceMax = 4
const waitingMax = 64

/** Keeps a stream to the manager open until the signal aborts. */
export async function serveDiagnosis(
  deps: DiagnosisServerDeps,
  manager: ManagerAddress,
  signal: AbortSignal,
): Promise<void> {
  const backoff = createBackoff({ firstMs: 200, maxMs: 5_000, random: deps.random })
  while (!signal.aborted) {
    const { controller, release } = childController(signal)
    const stream = deps.transport.openDiagnosis(manager, controller.signal)
    try {
      await new DiagnosisServer(deps, stream).run()
    } catch (err) {
      const fields = { manager: manager.address, err }
      if (!signal.aborted) deps.log.debug(fields, 'diagnosis stream ended')
    }
    controller.abort()
    release()
    await wait(deps.clock, backoff.nextMs(), signal)
  }
}

class DiagnosisServer {
  readonly #deps: DiagnosisServerDeps
  readonly #stream: DiagnosisStream
  readonly #waiting: DiagnosisRequest[] = []
  #running = 0

  constructor(deps: DiagnosisServerDeps, stream: DiagnosisStream) {
    this.#deps = deps
    this.#stream = stream
  }

  async run(): Promise<void> {
    try {
      await this.#stream.send({ kind: { $case: 'ready', value: {} } })
      for await (const request of this.#stream.incoming) this.#take(request)
    } finally {
      this.#waiting.length = 0
      this.#stream.close()
    }
  }

  #take(request: DiagnosisRequest): void {
    if (this.#waiting.length >= waitingMax) {
      this.#send(refusal(request, 'this node is asked too much at once: try again'))
      return
    }
    this.#waiting.push(request)
    this.#next()
  }

  #next(): void {
    if (this.#running >= atOnceMax) return
    const request = this.#waiting.shift()
    if (request === undefined) return
    this.#running += 1
    answerOf(this.#deps.diagnosis, request)
      .catch((err: unknown) => {
        this.#deps.log.warn({ err, kind: request.kind?.$case }, 'network cannot be looked at')
        return refusal(request, err instanceof Error ? err.message : String(err))
      })
      .then((answer) => this.#send(answer))
      .finally(() => {
        this.#running -= 1
        this.#next()
      })
      .catch(() => {})
  }

  /** A stream that breaks shows where it is read. */
  #send(answer: DiagnosisAnswer): void {
    this.#stream.send({ kind: { $case: 'answer', value: answer } }).catch(() => {})
  }
}

async function answerOf(
  diagnosis: NodeDiagnosis,
  { id, kind }: DiagnosisRequest,
): Promise<DiagnosisAnswer> {
  switch (kind?.$case) {
    case 'audit': {
      const value = await diagnosis.audit(kind.value)
      return { id, err: '', kind: { $case: 'audit', value } }
    }
    case 'leg': {
      const value = await diagnosis.leg(kind.value)
      return { id, err: '', kind: { $case: 'leg', value } }
    }
    case 'name': {
      const value = await diagnosis.lookup(kind.value)
      return { id, err: '', kind: { $case: 'name', value } }
    }
    case 'volume': {
      const value = await diagnosis.volume(kind.value)
      return { id, err: '', kind: { $case: 'volume', value } }
    }
    case undefined:
      return refusal({ id }, 'this node does not know what it was asked: upgrade it')
  }
}

function refusal({ id }: Pick<DiagnosisRequest, 'id'>, err: string): DiagnosisAnswer {
  return { id, err, kind: undefined }
}
