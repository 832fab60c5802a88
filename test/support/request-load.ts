// New connections at a steady rate to one URL, from a process of its own in whatever namespace it was started in. Prints what came
// of them as one line of JSON when its standard input ends.
//
//   node request-load.js URL PER_SECOND
import { get } from 'node:http'

export interface LoadOutcome {
  readonly sent: number
  readonly answered: number
  /** By error. */
  readonly failed: Readonly<Record<string, number>>
}

const answerMs = 15_000
const stepMs = 10

function load(url: string, perSecond: number): void {
  let sent = 0
  let answered = 0
  let open = 0
  let isOver = false
  const failed: Record<string, number> = {}
  const note = (why: string): void => {
    failed[why] = (failed[why] ?? 0) + 1
  }
  const report = (): void => {
    if (!isOver || open > 0) return
    const outcome: LoadOutcome = { sent, answered, failed }
    process.stdout.write(`${JSON.stringify(outcome)}\n`, () => process.exit(0))
  }
  const ask = (): void => {
    sent += 1
    open += 1
    let isSettled = false
    const settle = (why: string | undefined): void => {
      if (isSettled) return
      isSettled = true
      open -= 1
      if (why === undefined) answered += 1
      else note(why)
      report()
    }
    const request = get(url, { agent: false, timeout: answerMs }, (response) => {
      response.resume()
      const { statusCode } = response
      response.once('end', () => settle(statusCode === 200 ? undefined : `status ${statusCode}`))
      response.once('error', (err: NodeJS.ErrnoException) => settle(err.code ?? err.message))
    })
    request.once('timeout', () => request.destroy(new Error('no answer in time')))
    request.once('error', (err: NodeJS.ErrnoException) => settle(err.code ?? err.message))
  }
  const startMs = performance.now()
  const timer = setInterval(() => {
    const due = ((performance.now() - startMs) * perSecond) / 1000
    while (sent < due) ask()
  }, stepMs)
  process.stdin.resume()
  process.stdin.once('end', () => {
    clearInterval(timer)
    isOver = true
    report()
  })
}

const [, , url, perSecond] = process.argv
if (url !== undefined) load(url, Number(perSecond))
