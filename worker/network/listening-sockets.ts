// Which sockets of the host wait on ports, as `ss` lists them. Pure.
import type { PortProtocol } from './network-state.ts'

/** A socket of the host itself that waits on a port. */
export interface ListeningSocket {
  readonly protocol: PortProtocol
  readonly port: number
  /** undefined: all of both families; 0.0.0.0 and :: are all of one. */
  readonly address: string | undefined
  /** Whose it is, if that was asked for and can be seen. */
  readonly process?: SocketProcess
}

export interface SocketProcess {
  readonly name: string
  readonly pid: number
}

/** Lists what waits, in no order; with the processes too that costs a look at every process of the machine. */
export const listCommand = ['ss', '-Hlntu', '--sctp'] as const

/** The same of these ports only, with processes. */
export function ownersCommand(ports: readonly number[]): readonly string[] {
  return [...listCommand, '-p', ports.map((port) => `sport = :${port}`).join(' or ')]
}

/** Answer of either command: protocol, state, two queues, address:port, peer, processes. */
export function parseSockets(text: string): readonly ListeningSocket[] {
  return text.split('\n').flatMap((line) => {
    const [protocol = '', , , , local = '', , ...users] = line.trim().split(/\s+/)
    const end = local.lastIndexOf(':')
    const port = Number(local.slice(end + 1))
    if (!isProtocol(protocol) || end < 0 || !Number.isInteger(port) || port === 0) return []
    const process = processOf(users.join(' '))
    const address = addressOf(local.slice(0, end))
    return [{ protocol, port, address, ...(process && { process }) }]
  })
}

function isProtocol(text: string): text is PortProtocol {
  return text === 'tcp' || text === 'udp' || text === 'sctp'
}

function addressOf(text: string): string | undefined {
  if (text === '*') return undefined
  const [address = ''] = text.replace(/^\[(.*)\]$/, '$1').split('%')
  return address.replace(/^::ffff:(?=\d+\.)/i, '')
}

/** Of several, as with forked servers, the one that was there first, by its number. */
function processOf(users: string): SocketProcess | undefined {
  const all = [...users.matchAll(/\("((?:[^"\\]|\\.)*)",pid=(\d+)/g)]
    .map(([, name = '', pid = '']) => ({ name, pid: Number(pid) }))
    .sort((a, b) => a.pid - b.pid)
  return all[0]
}
