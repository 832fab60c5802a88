// Docker's API over the local socket of a daemon: requests out, checked JSON in. Only what the benchmarks ask, and
// nothing of what a service is for (docker-client.ts).
import { Agent, request } from 'node:http'
import { type ErrorCode, SwarmError } from '../../../proto/errors.ts'
import { systemClock } from '../../../proto/lib/clock.ts'

export interface DockerAnswer {
  readonly status: number
  readonly body: unknown
}

const version = 'v1.41'

export class DockerApi {
  readonly #socketPath: string
  readonly #agent = new Agent({ keepAlive: true })

  constructor(socketPath: string) {
    this.#socketPath = socketPath
  }

  /** Errors: UNAVAILABLE when the daemon does not answer or has no leader, INVALID_ARGUMENT when it refuses. */
  async get(path: string): Promise<unknown> {
    return (await this.#checked('GET', path)).body
  }

  /** Errors: as get, and NAME_CONFLICT. */
  async post(path: string, body: object, timeoutMs?: number): Promise<unknown> {
    return (await this.#checked('POST', path, { body, timeoutMs })).body
  }

  /** Errors: as get. */
  async remove(path: string): Promise<void> {
    await this.#checked('DELETE', path)
  }

  close(): void {
    this.#agent.destroy()
  }

  async #checked(method: string, path: string, options: SendOptions = {}): Promise<DockerAnswer> {
    const answer = await this.#send(method, path, options)
    if (answer.status < 400) return answer
    const text = `docker: ${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`
    throw new SwarmError(refusalCode(answer.status), text)
  }

  #send(
    method: string,
    path: string,
    { body, timeoutMs = 30_000 }: SendOptions,
  ): Promise<DockerAnswer> {
    return new Promise((resolve, reject) => {
      const fail = (cause: unknown): void => {
        const text = `docker: ${method} ${path}: no answer on ${this.#socketPath}`
        reject(new SwarmError('UNAVAILABLE', text, { cause }))
      }
      const sent = request(
        {
          socketPath: this.#socketPath,
          agent: this.#agent,
          method,
          path: `/${version}${path}`,
          headers: body === undefined ? {} : { 'content-type': 'application/json' },
        },
        (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('error', fail)
          response.on('end', () => {
            const text = Buffer.concat(chunks).toString('utf8')
            resolve({ status: response.statusCode ?? 0, body: parsed(text) })
          })
        },
      )
      const late = (): void => {
        sent.destroy(new Error(`not within ${timeoutMs} ms`))
      }
      const timer = systemClock.setTimer(timeoutMs, late)
      sent.on('error', fail)
      sent.on('close', () => timer.cancel())
      sent.end(body === undefined ? undefined : JSON.stringify(body))
    })
  }
}

interface SendOptions {
  readonly body?: object
  readonly timeoutMs?: number | undefined
}

function refusalCode(status: number): ErrorCode {
  if (status === 409) return 'NAME_CONFLICT'
  return status < 500 ? 'INVALID_ARGUMENT' : 'UNAVAILABLE'
}

/** Errors of the daemon are JSON, those of its server are text. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
