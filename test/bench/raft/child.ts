// Parts of benchmarks that need a process of their own: started with one message, heard until they answer.
import { type ChildProcess, fork } from 'node:child_process'

/** A script, its path from this folder, started; `ask` resolves with its next answer. */
export class BenchChild {
  readonly #child: ChildProcess
  readonly #script: string

  /** `enter`: an argv prefix that becomes its command by exec. */
  constructor(script: string, enter: readonly string[] = []) {
    this.#script = script
    const [execPath = process.execPath, ...before] = [...enter, process.execPath]
    this.#child = fork(new URL(script, import.meta.url), {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      execPath,
      execArgv: before,
    })
  }

  /** Throws when the process ends without an answer, or has none in time. */
  ask<T>(question: object, withinMs = 120_000): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = (run: () => void): void => {
        clearTimeout(timer)
        this.#child.off('message', answered)
        this.#child.off('exit', gone)
        run()
      }
      const answered = (answer: unknown): void => settle(() => resolve(answer as T))
      const gone = (): void => settle(() => reject(new Error(`${this.#script} ended unasked`)))
      const late = (): void =>
        settle(() => reject(new Error(`${this.#script}: no answer within ${withinMs} ms`)))
      const timer = setTimeout(late, withinMs)
      this.#child.on('message', answered)
      this.#child.on('exit', gone)
      this.#child.send(question)
    })
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const gone = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.kill('SIGKILL')
    await gone
  }
}

/** The other side: answers each question; the process ends with its parent. */
export function answerAsChild<Q, A>(answer: (question: Q) => Promise<A>): void {
  process.on('message', (question: Q) => {
    answer(question).then(
      (value) => process.send?.(value),
      (err) => {
        process.stderr.write(`${err instanceof Error ? err.stack : err}\n`)
        process.exit(1)
      },
    )
  })
  process.on('disconnect', () => process.exit(0))
}
