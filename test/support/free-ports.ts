// Ports for servers that a test begins later, or begins again on the same port.
import { createSocket } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { createServer, type ListenOptions } from 'node:net'

export interface PortRange {
  readonly from: number
  readonly to: number
}

const all: PortRange = { from: 10_000, to: 65_535 }
const portsMin = 1_000
const triesMax = 1_000

/**
 * The ports to choose from. The kernel takes one of its own range for any outgoing connection and for `listen(0)`, so
 * that one chosen there may be gone when the server begins: those outside of it are chosen, all only if hardly any are.
 * `ephemeral` is what the kernel says of its range, `32768 60999`.
 */
export function portsOutside(ephemeral: string): PortRange {
  const [low = 0, high = 0] = ephemeral.trim().split(/\s+/).map(Number)
  const below = { from: all.from, to: low - 1 }
  const above = { from: Math.max(high + 1, all.from), to: all.to }
  const size = ({ from, to }: PortRange): number => to - from + 1
  const wider = size(below) > size(above) ? below : above
  return size(wider) < portsMin ? all : wider
}

const range = portsOutside(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8'))

/**
 * A port where nobody listens, by TCP or UDP, and that no test on this machine is given while this process lives. What
 * lies `above` it by these numbers is as free.
 */
export async function freePort(above: readonly number[] = []): Promise<number> {
  for (let i = 0; i < triesMax; i++) {
    const port = range.from + Math.floor(Math.random() * (range.to - range.from + 1))
    if (await areFree([port, ...above.map((offset) => port + offset)])) return port
  }
  throw new Error(`no free port from ${range.from} to ${range.to} in ${triesMax} tries`)
}

export async function freePorts(count: number): Promise<readonly number[]> {
  const found: number[] = []
  while (found.length < count) found.push(await freePort())
  return found
}

/** A free port of the loopback, as `127.0.0.1:PORT`. */
export async function freeAddress(): Promise<string> {
  return `127.0.0.1:${await freePort()}`
}

async function areFree(ports: readonly number[]): Promise<boolean> {
  for (const port of ports) {
    if (port > range.to || !(await claim(port))) return false
    if (!(await listens({ port, host: '0.0.0.0' })) || !(await binds(port))) return false
  }
  return true
}

/** An abstract socket of this name: one process of a network namespace may hold it, and loses it with its life. */
function claim(port: number): Promise<boolean> {
  return listens({ path: `\0tsswarm-test-port-${port}` }, true)
}

function listens(at: ListenOptions, isKept = false): Promise<boolean> {
  const server = createServer().unref()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(at, () => {
      if (isKept) resolve(true)
      else server.close(() => resolve(true))
    })
  })
}

function binds(port: number): Promise<boolean> {
  const socket = createSocket('udp4')
  return new Promise((resolve) => {
    socket.once('error', () => socket.close(() => resolve(false)))
    socket.bind({ port, exclusive: true }, () => socket.close(() => resolve(true)))
  })
}
