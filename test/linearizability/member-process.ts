// One member process as the test holds it: orders with a deadline, signals, its end.
import { type ChildProcess, fork } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { Leadership } from '../../manager/raft/raft-handle.ts'
import type { Order, Reply } from './orders.ts'

const script = new URL('./member.js', import.meta.url).pathname

/** The order was not answered in time, or the process is gone: what came of it is unknown. */
export class NoAnswerError extends Error {}

export interface ProcessOptions {
  /** Argv prefix that runs a program on the member's host. */
  readonly enter: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly onLeadership: (leadership: Leadership) => void
  /** It ended, or its Raft did, and not by our kill. */
  readonly onFailed: (reason: string) => void
}

interface Waiting {
  readonly resolve: (result: unknown) => void
  readonly reject: (err: Error) => void
}

export class MemberProcess {
  readonly pid: number
  readonly #child: ChildProcess
  readonly #options: ProcessOptions
  readonly #exited: Promise<void>
  readonly #waiting = new Map<number, Waiting>()
  #nextId = 0
  #isKilled = false
  #isGone = false

  constructor(options: ProcessOptions) {
    this.#options = options
    // Variables below `env`, so that neither nsenter nor setpriv loads the libraries; never those of a test runner.
    const variables = Object.entries(options.env).map(([name, value]) => `${name}=${value}`)
    const argv = [...options.enter, 'setpriv', '--pdeathsig', 'KILL', 'env', ...variables]
    const [execPath = '', ...before] = argv
    this.#child = fork(script, {
      execPath,
      execArgv: [...before, process.execPath],
      env: { PATH: process.env['PATH'] ?? '' },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      // A Ctrl-C is for the test, which ends its members itself.
      detached: true,
    })
    this.pid = this.#child.pid ?? -1
    this.#child.on('message', (reply: Reply) => this.#heard(reply))
    this.#child.on('error', () => {})
    this.#exited = new Promise((resolve) => {
      this.#child.on('exit', (code, signal) => {
        this.#isGone = true
        for (const { reject } of this.#waiting.values()) reject(new NoAnswerError('it is gone'))
        this.#waiting.clear()
        if (!this.#isKilled) options.onFailed(`it ended by itself: ${signal ?? `code ${code}`}`)
        resolve()
      })
    })
  }

  get isGone(): boolean {
    return this.#isGone
  }

  /** Whether the kernel shows it as stopped. */
  get isStopped(): boolean {
    try {
      return / [Tt] /.test(readFileSync(`/proc/${this.pid}/stat`, 'utf8').replace(/^.*\)/, ''))
    } catch {
      return false
    }
  }

  /** Errors: NoAnswerError; any other: the member refused it. */
  order(order: Order, deadlineMs: number): Promise<unknown> {
    if (this.#isGone || !this.#child.connected) {
      return Promise.reject(new NoAnswerError('it is gone'))
    }
    const id = this.#nextId
    this.#nextId += 1
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id)
        reject(new NoAnswerError(`no answer to ${order.kind} within ${Math.round(deadlineMs)} ms`))
      }, deadlineMs)
      this.#waiting.set(id, {
        resolve: (result) => {
          clearTimeout(timer)
          resolve(result)
        },
        reject: (err) => {
          clearTimeout(timer)
          reject(err)
        },
      })
      // A pipe that breaks meanwhile is told by the exit.
      this.#child.send({ id, order }, () => {})
    })
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    if (!this.#isGone) this.#child.kill(signal)
  }

  /** As kill -9; resolves when it is gone. */
  async kill(): Promise<void> {
    this.#isKilled = true
    if (!this.#isGone) this.#child.kill('SIGKILL')
    await this.#exited
  }

  #heard(reply: Reply): void {
    switch (reply.kind) {
      case 'leadership':
        this.#options.onLeadership(reply.leadership)
        return
      case 'closed':
        if (!this.#isKilled) this.#options.onFailed(`Raft ended by itself: ${reply.message}`)
        return
      case 'done':
      case 'refused': {
        const waiting = this.#waiting.get(reply.id)
        this.#waiting.delete(reply.id)
        if (reply.kind === 'done') waiting?.resolve(reply.result)
        else waiting?.reject(new Error(reply.message))
      }
    }
  }
}
