// The test's side of a probe: starts it in a namespace and asks it (probe-main.ts).
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Counts, Question, Request } from './protocol.ts'

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
  const waiting: ((line: string | undefined) => void)[] = []
  const next = (): Promise<string | undefined> => new Promise((resolve) => waiting.push(resolve))
  const ended = new Promise<void>((resolve) => {
    const end = (): void => {
      for (const settle of waiting.splice(0)) settle(undefined)
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
  createInterface(child.stdout).on('line', (line) => waiting.shift()?.(line))
  const receive = async (what: string): Promise<string> => {
    const tooLate = new Promise<undefined>((resolve) => {
      const timer = setTimeout(() => resolve(undefined), answerMs)
      timer.unref()
    })
    const line = await Promise.race([next(), tooLate])
    if (line === undefined) throw new Error(`the probe ${name} does not answer: ${what}`)
    return line
  }
  const call = async <T>(request: Request): Promise<T> => {
    child.stdin.write(`${JSON.stringify(request)}\n`)
    return JSON.parse(await receive(request.op)) as T
  }
  await receive('its start')
  return {
    name,
    ask: (questions, withinMs = 15_000) => call({ op: 'ask', questions, withinMs }),
    many: (question, times) => call({ op: 'many', question, times }),
    heard: () => call({ op: 'heard' }),
    end: async () => {
      child.stdin.end()
      await ended
    },
  }
}
