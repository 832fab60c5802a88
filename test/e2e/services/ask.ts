// A client that asks a service without pause, for tests that lose no request.
import { untilSeen } from '../../support/until.ts'

export interface Asking {
  /** Ends it, when it was answered often enough or a minute is over; how often that was, and what went wrong. */
  end(): Promise<{ readonly answered: number; readonly failed: readonly string[] }>
}

/** So many answers say that it asked while something was done. */
export const answeredMin = 20

/** The text of a page. Throws when there is none. */
export async function answer(url: string): Promise<string> {
  const options = { headers: { connection: 'close' }, signal: AbortSignal.timeout(15_000) }
  const response = await fetch(url, options)
  const text = await response.text()
  if (!response.ok) throw new Error(`status ${response.status}`)
  return text
}

/**
 * Asks again and again, each time over a connection of its own, from when the node of the URL leads to the service: it learns
 * of tasks a moment after the command that waited for them has ended.
 */
export async function ask(url: string): Promise<Asking> {
  await untilSeen(`answers of ${url}`, async () => {
    for (let round = 0; round < 5; round++) await answer(url)
    return true
  })
  const failed: string[] = []
  let answered = 0
  let isOver = false
  const asking = (async (): Promise<void> => {
    while (!isOver) {
      try {
        await answer(url)
        answered += 1
      } catch (err) {
        failed.push(err instanceof Error ? `${err.message} ${err.cause}` : String(err))
      }
    }
  })()
  return {
    end: async () => {
      const isEnough = async (): Promise<boolean> => answered >= answeredMin
      await untilSeen('it is answered', isEnough).catch((err: unknown) => failed.push(`${err}`))
      isOver = true
      await asking
      return { answered, failed }
    },
  }
}
