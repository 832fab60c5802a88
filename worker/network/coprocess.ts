// A program that stays and takes one request after the other on standard input: `ip -force -batch -` and `nft -i`.
// A change costs 0.3 to 0.7 ms instead of a fork. It dies with this process and is started again when it has ended.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { SwarmError } from '../../proto/errors.ts'
import { invariant } from '../../proto/lib/assert.ts'
import type { Clock } from '../../proto/lib/clock.ts'

export interface Coprocess {
  /**
   * Writes the lines and resolves with what the program said about them. Requests wait for one another. Errors: UNAVAILABLE when the program ended or did not answer in time; then it is
   * unknown which of the lines took effect.
   */
  request(lines: readonly string[]): Promise<Answer>
  /** Ends the program; a later request starts another. */
  close(): void
}

export interface Answer {
  /** What came on standard error, in order. */
  readonly said: string
  /** How the complaint about the mark read: the match of markPattern and its groups. */
  readonly mark: readonly string[]
}

export interface CoprocessOptions {
  readonly argv: readonly string[]
  readonly clock: Clock
  /** A line that does nothing but make the program complain with `mark` in its text. */
  readonly markLine: (mark: string) => string
  /** Finds the complaint; the match and all after it is not part of the answer. */
  readonly markPattern: (mark: string) => RegExp
  /** Default 10,000. */
  readonly timeoutMs?: number
}

/** Then a program is replaced by a new one: `nft -i` keeps every line it ever read. */
const requestsMax = 5_000

const waitingMax = 10_000
const answerBytesMax = 1024 * 1024

export function createCoprocess(options: CoprocessOptions): Coprocess {
  let running: Running | undefined
  let waiting = 0
  let last: Promise<unknown> = Promise.resolve()
  const request = async (lines: readonly string[]): Promise<Answer> => {
    if (running === undefined || running.isSpent()) {
      running?.end()
      running = start(options)
    }
    return await running.exchange(lines)
  }
  return {
    request: (lines) => {
      invariant(!lines.some((line) => line.includes('\n')), 'a line is one line', { lines })
      if (waiting >= waitingMax) {
        const message = `${waiting} changes wait for "${options.argv.join(' ')}" already: try again later`
        return Promise.reject(new SwarmError('RESOURCE_EXHAUSTED', message))
      }
      waiting += 1
      const answer = last
        .then(() => request(lines))
        .finally(() => {
          waiting -= 1
        })
      last = answer.catch(() => {})
      return answer
    },
    close: () => {
      running?.end()
      running = undefined
    },
  }
}

interface Running {
  exchange(lines: readonly string[]): Promise<Answer>
  /** It has ended, or has served long enough. */
  isSpent(): boolean
  end(): void
}

function start(options: CoprocessOptions): Running {
  // setpriv: the program must not outlive the daemon, or it would keep a removed namespace alive.
  const argv = ['--pdeathsig', 'KILL', ...options.argv]
  // No home: `nft -i` would write a history of its commands there.
  const env = { ...process.env, HOME: '/nonexistent' }
  const child = spawn('setpriv', argv, { stdio: 'pipe', env })
  child.stdin.on('error', () => {})
  child.stdout.resume()
  let marks = 0
  let ended: string | undefined
  let notify = (): void => {}
  const finish = (why: string): void => {
    ended ??= why
    notify()
  }
  child.on('error', (err) => finish(err.message))
  child.on('close', (code, signal) => finish(`it ended (${signal ?? `exit code ${code}`})`))
  const answers = collectErrors(child, () => notify())
  const exchange = async (lines: readonly string[]): Promise<Answer> => {
    marks += 1
    const mark = `tsswarm-mark-${marks}`
    child.stdin.write(`${[...lines, options.markLine(mark)].join('\n')}\n`)
    const timeoutMs = options.timeoutMs ?? 10_000
    const timer = options.clock.setTimer(timeoutMs, () => {
      finish(`no answer within ${timeoutMs} ms`)
      child.kill('SIGKILL')
    })
    try {
      return await new Promise((resolve, reject) => {
        notify = () => {
          const answer = answers.until(options.markPattern(mark))
          if (answer !== undefined) resolve(answer)
          else if (ended !== undefined) reject(failure(options, ended, answers.rest()))
        }
        notify()
      })
    } finally {
      timer.cancel()
    }
  }
  return {
    exchange,
    isSpent: () => ended !== undefined || marks >= requestsMax,
    end: () => child.stdin.end(),
  }
}

function collectErrors(
  child: ChildProcessWithoutNullStreams,
  onText: () => void,
): { until(pattern: RegExp): Answer | undefined; rest(): string } {
  let text = ''
  child.stderr.setEncoding('utf8')
  child.stderr.on('data', (chunk: string) => {
    text = (text + chunk).slice(-answerBytesMax)
    onText()
  })
  return {
    until: (pattern) => {
      const match = pattern.exec(text)
      if (match === null) return undefined
      const answer = { said: text.slice(0, match.index), mark: [...match] }
      text = text.slice(match.index + match[0].length)
      return answer
    },
    rest: () => text,
  }
}

function failure(options: CoprocessOptions, why: string, said: string): SwarmError {
  const message = `the change of the network failed: "${options.argv.join(' ')}": ${why}. ${said}`
  return new SwarmError('UNAVAILABLE', message.trim())
}
