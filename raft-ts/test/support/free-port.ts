// A port of the loopback for a server that begins later, or begins again on the same port.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'

const from = 10_000
// The kernel takes a port of its own range for any outgoing connection and for `listen(0)`, so that one chosen there may
// be gone when the server begins. Where that range leaves nothing below it, any will do.
const ephemeral = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8')
const low = Number.parseInt(ephemeral, 10)
const to = low - from < 1_000 ? 65_536 : low

const given = new Set<number>()

/** A port where nobody listens; none is given twice in a process. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = from + Math.floor(Math.random() * (to - from))
    if (given.has(port)) continue
    given.add(port)
    if (await isFree(port)) return port
  }
}

function isFree(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen({ host: '127.0.0.1', port }, () => server.close(() => resolve(true)))
  })
}
