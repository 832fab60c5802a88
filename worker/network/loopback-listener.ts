// Serves published ports on ::1, which the kernel cannot lead away from loopback: what comes there is handed to the same
// port of 127.0.0.1, where nft leads it on, or of the port's door. Small and for this host's own programs only.
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram'
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Clock, Timer } from '../../proto/lib/clock.ts'
import type { Logger } from '../../proto/lib/log.ts'

export interface LoopbackPort {
  readonly protocol: 'tcp' | 'udp'
  readonly port: number
  /** The address that it is handed to. */
  readonly to: string
}

export interface LoopbackListener {
  /** Listens on exactly these ports from now on. A port that a program of the host has on ::1 is left to it until the next call. */
  set(ports: readonly LoopbackPort[]): void
  close(): void
}

/** More connections and senders of one port than this at once are turned away. */
const clientsMax = 1_000
/** A sender of UDP is forgotten after this long without an answer or a datagram. */
const idleMs = 30_000

export function createLoopbackListener(clock: Clock, log: Logger): LoopbackListener {
  const open = new Map<string, { close(): void }>()
  const start = (key: string, port: LoopbackPort): void => {
    const onError = (err: Error): void => {
      log.debug({ err, ...port }, 'port is not served on ::1')
      if (open.get(key) !== server) return
      open.delete(key)
      server.close()
    }
    const server =
      port.protocol === 'tcp' ? serveTcp(port, onError) : serveUdp(port, clock, onError)
    open.set(key, server)
  }
  return {
    set: (ports) => {
      const key = ({ protocol, port, to }: LoopbackPort): string => `${protocol} ${port} ${to}`
      const wanted = new Map(ports.map((port) => [key(port), port]))
      for (const [name, server] of open) {
        if (wanted.has(name)) continue
        server.close()
        open.delete(name)
      }
      for (const [name, port] of wanted) if (!open.has(name)) start(name, port)
    },
    close: () => {
      for (const server of open.values()) server.close()
      open.clear()
    },
  }
}

function serveTcp({ port, to }: LoopbackPort, onError: (err: Error) => void): { close(): void } {
  const sockets = new Set<Socket>()
  const server: Server = createServer({ allowHalfOpen: true }, (client) => {
    const target = connect({ host: to, port, allowHalfOpen: true })
    for (const [one, other] of [
      [client, target],
      [target, client],
    ] as const) {
      sockets.add(one)
      one.on('error', () => other.destroy())
      one.on('close', () => {
        sockets.delete(one)
        other.end()
      })
      one.pipe(other)
    }
  })
  server.maxConnections = clientsMax
  server.on('error', onError)
  server.listen({ host: '::1', port, ipv6Only: true })
  // Ports must not keep a process alive that has nothing else to do.
  server.unref()
  return {
    close: () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

interface Sender {
  readonly socket: UdpSocket
  timer: Timer
}

function serveUdp(
  { port, to }: LoopbackPort,
  clock: Clock,
  onError: (err: Error) => void,
): { close(): void } {
  const senders = new Map<number, Sender>()
  const server = createSocket({ type: 'udp6', ipv6Only: true })
  const forget = (from: number): void => {
    const sender = senders.get(from)
    sender?.timer.cancel()
    sender?.socket.close()
    senders.delete(from)
  }
  const remember = (from: number): Sender | undefined => {
    const timer = clock.setTimer(idleMs, () => forget(from))
    const known = senders.get(from)
    known?.timer.cancel()
    if (known !== undefined) {
      known.timer = timer
      return known
    }
    if (senders.size >= clientsMax) {
      timer.cancel()
      return undefined
    }
    const socket = createSocket(to.includes(':') ? 'udp6' : 'udp4')
    socket.unref()
    socket.on('error', () => forget(from))
    socket.on('message', (message) => server.send(message, from, '::1', () => {}))
    const sender = { socket, timer }
    senders.set(from, sender)
    return sender
  }
  server.on('error', onError)
  server.on('message', (message: Buffer, { port: from }: RemoteInfo) => {
    remember(from)?.socket.send(message, port, to, () => {})
  })
  server.bind({ address: '::1', port })
  server.unref()
  return {
    close: () => {
      for (const from of [...senders.keys()]) forget(from)
      server.close()
    },
  }
}
