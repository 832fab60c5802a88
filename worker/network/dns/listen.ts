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

/** Less than a resolver is given to come up. */
const timeoutMs = 25_000
const backlog = 128
/** Bursts wait there; the kernel grants less where its limit is lower. */
const receiveBufferBytes = 1024 * 1024

async function bindUdp({ address, port }: ListenAddress): Promise<UdpSocket> {
  const udp = createSocket('udp4')
  await new Promise<void>((resolve, reject) => {
    udp.once('error', reject)
    udp.bind({ address, port, exclusive: true }, resolve)
  })
  return udp
}

export async function listen({ address, port }: ListenAddress): Promise<ListenSockets> {
  const udp = await bindUdp({ address, port })
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
export async function listenIn(
  namespaceFile: string,
  listenAddress: ListenAddress,
  clock: Clock,
): Promise<ListenSockets> {
  const { udp, tcp } = await socketsFrom(namespaceFile, listenAddress, clock)
  if (tcp === undefined) throw new Error('the child handed back one socket of two')
  return { udp, tcp }
}

/** A UDP socket alone, in the namespace bound to the file. Errors: as listenIn. */
export async function bindUdpIn(
  namespaceFile: string,
  listenAddress: ListenAddress,
  clock: Clock,
): Promise<UdpSocket> {
  const asked = { ...listenAddress, isUdpOnly: true }
  return (await socketsFrom(namespaceFile, asked, clock)).udp
}

interface AskedSockets extends ListenAddress {
  readonly isUdpOnly?: boolean
}

interface HandedSockets {
  readonly udp: UdpSocket
  readonly tcp: TcpServer | undefined
}

function socketsFrom(
  namespaceFile: string,
  asked: AskedSockets,
  clock: Clock,
): Promise<HandedSockets> {
  const main = fileURLToPath(new URL('./dns-main.js', import.meta.url))
  const [file = '', ...args] = [
    ...enterNamespace(namespaceFile),
    ...[process.execPath, main, bindMode, JSON.stringify(asked)],
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
      const where = `${asked.address}:${asked.port} in ${namespaceFile}`
      reject(new Error(`cannot listen on ${where}: ${said.trim() || why}`))
    }
    const timer = clock.setTimer(timeoutMs, () => fail(`no answer within ${timeoutMs} ms`))
    let udp: UdpSocket | undefined
    child.on('message', (_message, handle) => {
      if (handle instanceof UdpSocket) udp = handle
      const tcp = handle instanceof TcpServer ? handle : undefined
      if (udp === undefined || (tcp === undefined && asked.isUdpOnly !== true)) return
      timer.cancel()
      child.removeAllListeners('close')
      resolve({ udp, tcp })
    })
    child.once('error', (err) => fail(err.message))
    child.once('close', () => fail('the child ended'))
  })
}

export const bindMode = 'bind'

/** What the child does. */
export async function handBackSockets(text: string): Promise<void> {
  const asked: AskedSockets = JSON.parse(text)
  if (asked.isUdpOnly === true) {
    const udp = await bindUdp(asked)
    await sendToParent({ kind: 'udp' }, udp)
    udp.close()
    return process.disconnect()
  }
  const { udp, tcp } = await listen(asked)
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
