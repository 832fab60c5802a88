// A client that asks a service without pause, for tests that lose no request.

/** Asks again and again, each time over a connection of its own. */
export async function ask(url: string, until: AbortSignal) {
  const failed: string[] = []
  let answered = 0
  while (!until.aborted) {
    try {
      const options = { headers: { connection: 'close' }, signal: AbortSignal.timeout(5_000) }
      const response = await fetch(url, options)
      if (response.ok) answered += 1
      else failed.push(`status ${response.status}`)
      await response.text()
    } catch (err) {
      failed.push(err instanceof Error ? `${err.message} ${err.cause}` : String(err))
    }
  }
  return { answered, failed }
}
