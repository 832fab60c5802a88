// The sockets the resolver listens on. A socket belongs to the network namespace it was made in: for another namespace than
// our own, a short-lived child enters it, makes the sockets and hands them back. So one process answers inside the data
// plane and asks outside of it.
import { spawn } from 'node:child_process'
import { createSocket, Socket as UdpSocket } from 'node:dgram'
import { createServer, Server as TcpServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { Clock } from '../../../proto/lib/clock.ts'
import { enterNamespace } from '../data-plane.ts'

export interface ListenSockets {
  readonly udp: UdpSocket
  readonly tcp: TcpServer
}

export interface ListenAddress {
  readonly address: string
  /** 0: any, the same for both. */
  readonly port: number
}

const timeoutMs = 8_000
const backlog = 128
/** Bursts wait there; the kernel grants less where its limit is lower. */
const receiveBufferBytes = 1024 * 1024

export async function listen({ address, port }: ListenAddress): Promise<ListenSockets> {
  const udp = createSocket('udp4')
  await new Promise<void>((resolve, reject) => {
    udp.once('error', reject)
    udp.bind({ address, port, exclusive: true }, resolve)
  })
  const tcp = createServer()
  try {
    await new Promise<void>((resolve, reject) => {
      tcp.once('error', reject)
      const taken = udp.address().port
      tcp.listen({ host: address, port: taken, backlog, exclusive: true }, resolve)
    })
  } catch (err) {
    udp.close()
    throw err
  }
  udp.removeAllListeners('error')
  tcp.removeAllListeners('error')
  udp.setRecvBufferSize(receiveBufferBytes)
  return { udp, tcp }
}

/** The same in the namespace bound to the file. Errors: what the child said, or that it did not answer in time. */
export function listenIn(
  namespaceFile: string,
  listenAddress: ListenAddress,
  clock: Clock,
): Promise<ListenSockets> {
  const main = fileURLToPath(new URL('./dns-main.js', import.meta.url))
  const [file = '', ...args] = [
    ...enterNamespace(namespaceFile),
    ...[process.execPath, main, bindMode, JSON.stringify(listenAddress)],
  ]
  const child = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-1_000)
  })
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      timer.cancel()
      child.kill('SIGKILL')
      const where = `${listenAddress.address}:${listenAddress.port} in ${namespaceFile}`
      reject(new Error(`cannot listen on ${where}: ${said.trim() || why}`))
    }
    const timer = clock.setTimer(timeoutMs, () => fail(`no answer within ${timeoutMs} ms`))
    let udp: UdpSocket | undefined
    child.on('message', (_message, handle) => {
      if (handle instanceof UdpSocket) udp = handle
      if (!(handle instanceof TcpServer) || udp === undefined) return
      timer.cancel()
      child.removeAllListeners('close')
      resolve({ udp, tcp: handle })
    })
    child.once('error', (err) => fail(err.message))
    child.once('close', () => fail('the child ended'))
  })
}

export const bindMode = 'bind'

/** What the child does. */
export async function handBackSockets(text: string): Promise<void> {
  const { udp, tcp } = await listen(JSON.parse(text))
  await sendToParent({ kind: 'udp' }, udp)
  await sendToParent({ kind: 'tcp' }, tcp)
  udp.close()
  tcp.close()
  process.disconnect()
}

function sendToParent(message: object, handle: UdpSocket | TcpServer): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send?.(message, handle, {}, (err) => (err === null ? resolve() : reject(err)))
  })
}
