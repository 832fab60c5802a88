// Running loops under one signal: the first failure stops the siblings, and nothing outlives its parent.
import { setMaxListeners } from 'node:events'

/** Runs until its signal aborts. Returning early without an abort is allowed. */
export type Loop = (signal: AbortSignal) => Promise<void>

export interface NamedLoop {
  readonly name: string
  readonly run: Loop
}

/** A failed loop; `cause` is what it threw. */
export class LoopError extends Error {
  readonly loop: string

  constructor(loop: string, cause: unknown) {
    super(`loop ${loop} failed: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    })
    this.name = 'LoopError'
    this.loop = loop
  }
}

/** A controller that aborts when the parent does; `release` detaches it from the parent. */
export function childController(parent?: AbortSignal): {
  readonly controller: AbortController
  readonly release: () => void
} {
  const controller = new AbortController()
  setMaxListeners(0, controller.signal)
  if (parent === undefined) return { controller, release: () => {} }
  const abort = (): void => controller.abort(parent.reason)
  if (parent.aborted) abort()
  else parent.addEventListener('abort', abort, { once: true })
  return { controller, release: () => parent.removeEventListener('abort', abort) }
}

/**
 * Runs all loops until the signal aborts or one of them fails. A failure aborts the siblings; all are awaited
 * before this returns. Errors: LoopError of the first loop that failed.
 */
export async function runAll(signal: AbortSignal, loops: readonly NamedLoop[]): Promise<void> {
  const { controller, release } = childController(signal)
  let first: LoopError | undefined
  const runs = loops.map(async ({ name, run }) => {
    try {
      await run(controller.signal)
    } catch (err) {
      first ??= new LoopError(name, err)
      controller.abort(first)
    }
  })
  await Promise.all(runs)
  release()
  if (first !== undefined) throw first
}
