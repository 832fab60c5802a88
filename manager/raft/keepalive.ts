// Pings on an HTTP/2 session: a connection whose other end is silent is given up, though TCP would wait for minutes.
import type { Http2Session } from 'node:http2'
import type { Clock, Timer } from '../../proto/lib/clock.ts'

const periodMs = 1_000
const answerMs = 2_000

/** Pings until the session closes; destroys it when a ping is not answered in time. */
export function keepAlive(session: Http2Session, clock: Clock): void {
  let timer: Timer
  const wait = (): void => {
    timer = clock.setTimer(periodMs, ping)
  }
  const ping = (): void => {
    if (session.destroyed || session.closed) return
    timer = clock.setTimer(answerMs, () => session.destroy())
    const isSent = session.ping((err) => {
      timer.cancel()
      if (err === null) wait()
      else session.destroy()
    })
    // Too many are under way: the answer to one of them decides.
    if (!isSent) timer.cancel()
  }
  session.once('close', () => timer.cancel())
  wait()
}
