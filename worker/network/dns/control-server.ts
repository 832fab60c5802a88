// The resolver's end of the control socket. One daemon at a time: who connects last is it. Whoever can open the socket may
// do everything; its folder is the owner's alone.
import { renameSync, statSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { encodeFrame, FrameReader } from '../../executor/spawn/frames.ts'
import {
  type ControlAnswer,
  type ControlRequest,
  controlFrameBytesMax,
  controlSocketFile,
} from './control-messages.ts'

export type HandleControl = (request: ControlRequest) => Promise<ControlAnswer>

/**
 * Listens under the name all daemons know; takes it over from another process without a moment in which nobody has it.
 * Errors: a folder that others may enter; what the kernel says.
 */
export function listenForControl(dir: string, handle: HandleControl): Promise<Server> {
  const mode = statSync(dir).mode & 0o777
  if ((mode & 0o077) !== 0) {
    throw new Error(`others may enter ${dir}: its mode is ${mode.toString(8)}, and must be 700`)
  }
  let current: Socket | undefined
  const server = createServer((socket) => {
    current?.destroy()
    current = socket
    serve(socket, handle)
  })
  // Closing a server removes the file it was bound to: not the common name, which may be another's by then.
  const ownFile = `${dir}/resolver.${process.pid}.sock`
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(ownFile, () => {
      renameSync(ownFile, controlSocketFile(dir))
      resolve(server)
    })
  })
}

function serve(socket: Socket, handle: HandleControl): void {
  const frames = new FrameReader(controlFrameBytesMax)
  let last: Promise<void> = Promise.resolve()
  const answer = async (text: string): Promise<void> => {
    let said: ControlAnswer
    try {
      said = await handle(JSON.parse(text))
    } catch (err) {
      said = { kind: 'failed', message: err instanceof Error ? err.message : String(err) }
    }
    if (!socket.destroyed) socket.write(encodeFrame(said))
  }
  socket.on('error', () => {})
  socket.on('data', (chunk) => {
    try {
      for (const text of frames.push(chunk)) last = last.then(() => answer(text))
    } catch {
      // Not a frame: nothing on this connection can be understood any more.
      socket.destroy()
    }
  })
}
