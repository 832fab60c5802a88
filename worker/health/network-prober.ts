// The daemon's side of probes over the network: containers are asked by a process in the data plane, which is started at the
// first question and again when it or the data plane is another one; those on the host's own network by the daemon itself.
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { SwarmError } from '../../proto/errors.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import { enterNamespace, findNamespace } from '../network/data-plane.ts'
import { askNetwork, type NetworkQuestion } from './ask-network.ts'
import type { ProbeAnswer } from './health-watch.ts'

export interface NetworkProberOptions {
  /** File the data plane's namespace is bound to. */
  readonly dataPlaneFile: string
  readonly clock: Clock
}

interface Waiting {
  readonly resolve: (answer: ProbeAnswer) => void
  readonly reject: (err: SwarmError) => void
}

interface Helper {
  readonly child: ChildProcess
  /** The data plane it is in. */
  readonly namespace: number
  readonly waiting: Map<number, Waiting>
}

/** Its own deadline is the container's; when it says nothing it is stuck. */
const slackMs = 5_000
const nodeFlags: readonly string[] = ['--max-semi-space-size=1']

export class NetworkProber {
  readonly #options: NetworkProberOptions
  #helper: Helper | undefined
  #lastId = 0
  #isClosed = false

  constructor(options: NetworkProberOptions) {
    this.#options = options
  }

  /** Asks at an address of the host itself. */
  askHost(question: NetworkQuestion): Promise<ProbeAnswer> {
    return askNetwork(question)
  }

  /** Asks at an address of a container. Errors: UNAVAILABLE when nobody could be asked, CANCELLED. */
  async ask(question: NetworkQuestion, signal: AbortSignal): Promise<ProbeAnswer> {
    const namespace = await findNamespace(this.#options.dataPlaneFile)
    if (namespace === undefined || this.#isClosed) throw unavailable('there is no data plane')
    if (this.#helper !== undefined && this.#helper.namespace !== namespace) {
      this.#end(this.#helper, 'the data plane was made anew')
    }
    this.#helper ??= this.#start(namespace)
    return this.#send(this.#helper, question, signal)
  }

  close(): void {
    this.#isClosed = true
    if (this.#helper !== undefined) this.#end(this.#helper, 'the daemon ends')
  }

  #start(namespace: number): Helper {
    const main = fileURLToPath(new URL('./prober-main.js', import.meta.url))
    const [file = '', ...args] = [
      ...enterNamespace(this.#options.dataPlaneFile),
      ...[process.execPath, ...nodeFlags, main],
    ]
    const child = spawn(file, args, {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
    })
    const helper: Helper = { child, namespace, waiting: new Map() }
    child.on('error', (err) => this.#end(helper, err.message))
    child.on('exit', (code, signal) => this.#end(helper, `it ended (${code ?? signal})`))
    child.on('message', ({ id, answer }: { readonly id: number; readonly answer: ProbeAnswer }) => {
      helper.waiting.get(id)?.resolve(answer)
    })
    return helper
  }

  #send(helper: Helper, question: NetworkQuestion, signal: AbortSignal): Promise<ProbeAnswer> {
    const { child, waiting } = helper
    const id = ++this.#lastId
    return new Promise<ProbeAnswer>((resolve, reject) => {
      const done = (): void => {
        waiting.delete(id)
        timer.cancel()
        signal.removeEventListener('abort', abort)
      }
      const fail = (err: SwarmError): void => {
        done()
        reject(err)
      }
      const abort = (): void => fail(new SwarmError('CANCELLED', 'a health probe was given up'))
      const timer = this.#options.clock.setTimer(question.timeoutMs + slackMs, () =>
        this.#end(helper, 'it does not answer'),
      )
      waiting.set(id, {
        resolve: (answer) => {
          done()
          resolve(answer)
        },
        reject: fail,
      })
      if (signal.aborted) return abort()
      signal.addEventListener('abort', abort, { once: true })
      child.send({ id, question }, (err) => {
        if (err !== null) this.#end(helper, err.message)
      })
    })
  }

  #end(helper: Helper, why: string): void {
    if (this.#helper === helper) this.#helper = undefined
    helper.child.kill('SIGKILL')
    for (const { reject } of [...helper.waiting.values()]) reject(unavailable(why))
  }
}

function unavailable(why: string): SwarmError {
  return new SwarmError('UNAVAILABLE', `containers cannot be asked over the network: ${why}`)
}
