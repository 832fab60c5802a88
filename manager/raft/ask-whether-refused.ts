// Whether a program still listens at an address: when it has ended, its host refuses the connection at once.
import { createConnection } from 'node:net'
import type { Clock } from '../../proto/lib/clock.ts'

const answerMs = 500
/** A process that is killed loses its connections a moment before its listening socket. */
const triesMax = 3
const gapMs = 20

/** Tells true when the connection is refused; false when it is taken, and when nothing is heard within half a second. */
export function askWhetherRefused(
  address: string,
  clock: Clock,
  told: (isRefused: boolean) => void,
  tries = triesMax,
): void {
  const socket = createConnection(hostAndPort(address))
  let isOver = false
  const over = (answer: 'refused' | 'taken' | 'none'): void => {
    if (isOver) return
    isOver = true
    timer.cancel()
    socket.destroy()
    if (answer !== 'taken' || tries <= 1) told(answer === 'refused')
    else clock.setTimer(gapMs, () => askWhetherRefused(address, clock, told, tries - 1))
  }
  const timer = clock.setTimer(answerMs, () => over('none'))
  socket.once('connect', () => over('taken'))
  socket.on('error', (err: NodeJS.ErrnoException) =>
    over(err.code === 'ECONNREFUSED' ? 'refused' : 'none'),
  )
}

/** Of host:port, also of [IPv6]:port. */
function hostAndPort(address: string): { readonly host: string; readonly port: number } {
  const at = address.lastIndexOf(':')
  return {
    host: address.slice(0, at).replace(/^\[(.*)\]$/, '$1'),
    port: Number(address.slice(at + 1)),
  }
}
