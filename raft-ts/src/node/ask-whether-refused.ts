// Whether a program still listens at an address: when it has ended, its host refuses the connection at once.
import { connect } from 'node:net'
import type { TcpAddress } from './tcp-options.ts'

const answerMs = 500
/** A process that is killed loses its connections a moment before its listening socket. */
const triesMax = 3
const gapMs = 20

/** Tells true when the connection is refused; false when it is taken, and when nothing is heard within half a second. */
export function askWhetherRefused(
  address: TcpAddress,
  told: (isRefused: boolean) => void,
  tries = triesMax,
): void {
  const { host, port } = address
  const socket = connect({ host, port })
  let isOver = false
  const over = (answer: 'refused' | 'taken' | 'none'): void => {
    if (isOver) return
    isOver = true
    clearTimeout(timer)
    socket.destroy()
    if (answer !== 'taken' || tries <= 1) told(answer === 'refused')
    else setTimeout(() => askWhetherRefused(address, told, tries - 1), gapMs)
  }
  const timer = setTimeout(() => over('none'), answerMs)
  socket.once('connect', () => over('taken'))
  socket.on('error', (err: NodeJS.ErrnoException) =>
    over(err.code === 'ECONNREFUSED' ? 'refused' : 'none'),
  )
}
