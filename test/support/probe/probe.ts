// The test's side of a probe: starts it in a namespace and asks it (probe-main.ts).
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Answered, Counts, Question, Request, Server } from './protocol.ts'

const program = new URL('./probe-main.js', import.meta.url).pathname
const answerMs = 60_000
/** What ends each probe that still runs, and resolves when it has. */
const running = new Set<() => Promise<void>>()

export interface Probe {
  readonly name: string
  /** Answers in the order of the questions; each has so long. */
  ask(questions: readonly Question[], withinMs?: number): Promise<readonly string[]>
  many(question: Question, times: number): Promise<Counts>
  heard(): Promise<readonly string[]>
  /** A server more; resolves when it waits. Errors: the port is taken. */
  listen(server: Server, name: string): Promise<void>
  /** Resolves when the port is free again. */
  unlisten(server: Server): Promise<void>
  end(): Promise<void>
}

/** Ends all probes of this process that still run; they would keep it from ending. */
export async function endProbes(): Promise<void> {
  await Promise.all([...running].map((kill) => kill()))
}

/** Starts a probe by what enters its namespace (argv); resolves when its server, if it has one, waits. */
export async function startProbe(
  name: string,
  enter: readonly string[],
  mode: 'serve' | 'ask',
): Promise<Probe> {
  // Nothing outlives a test that is killed.
  const argv = ['--pdeathsig', 'KILL', ...enter, process.execPath, program, name, mode]
  const child = spawn('setpriv', argv, { stdio: ['pipe', 'pipe', 'inherit'] })
  const waiting = new Map<number, (answered: Answered) => void>()
  const ended = new Promise<void>((resolve) => {
    const end = (): void => {
      for (const [id, settle] of waiting) settle({ id, failure: 'it has ended' })
      waiting.clear()
      resolve()
    }
    child.once('error', end)
    child.once('close', end)
  })
  const kill = (): Promise<void> => {
    child.kill('SIGKILL')
    return ended
  }
  running.add(kill)
  void ended.then(() => running.delete(kill))
  child.stdin.on('error', () => {})
  createInterface(child.stdout).on('line', (line) => {
    const answered = JSON.parse(line) as Answered
    waiting.get(answered.id)?.(answered)
  })
  const receive = (id: number, what: string): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const settle = (answered: Answered): void => {
        clearTimeout(timer)
        waiting.delete(id)
        if ('answer' in answered) resolve(answered.answer)
        else reject(new Error(`the probe ${name} does not answer: ${what}: ${answered.failure}`))
      }
      const timer = setTimeout(() => settle({ id, failure: 'it takes too long' }), answerMs)
      timer.unref()
      waiting.set(id, settle)
    })
  let last = 0
  const call = <T>(request: Request): Promise<T> => {
    last += 1
    const answered = receive(last, request.op)
    child.stdin.write(`${JSON.stringify({ id: last, ...request })}\n`)
    return answered as Promise<T>
  }
  await receive(0, 'its start')
  return {
    name,
    ask: (questions, withinMs = 15_000) => call({ op: 'ask', questions, withinMs }),
    many: (question, times) => call({ op: 'many', question, times }),
    heard: () => call({ op: 'heard' }),
    listen: (server, own) => call({ op: 'listen', server, name: own }),
    unlisten: (server) => call({ op: 'unlisten', server }),
    end: async () => {
      child.stdin.end()
      await ended
    },
  }
}
