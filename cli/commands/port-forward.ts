// tsswarm port-forward
import { createServer, type Server, type Socket } from 'node:net'
import { SwarmError } from '../../proto/errors.ts'
import type { Timer } from '../../proto/lib/clock.ts'
import { newId } from '../../proto/lib/ids.ts'
import type { Client } from '../client.ts'
import { defineCommand } from '../command.ts'
import type { CommandContext } from '../context.ts'
import { text } from '../flags.ts'
import { usage } from '../parse-args.ts'
import { openStream } from '../streams.ts'

const connectionsMax = 200
/** How long what the other end says last is waited for once the connection is over. */
const lingerMs = 2_000

export const command = defineCommand({
  name: 'port-forward',
  summary: 'Forward a local port to a port of a task',
  description:
    'TCP connections to LOCAL on this host are led into the network of the container, to PORT on its loopback address, published or not. LOCAL 0 or none before ' +
    'the colon is any free port; PORT alone is the same on both sides. TARGET is a service (a running task of it is taken), SERVICE.SLOT, or a task. Ends with ' +
    'Ctrl-C. Who forwards is an event of the cluster (`port_forward`).',
  args: { usage: '[LOCAL:]PORT TARGET', min: 2, max: 2, completes: [], thenCompletes: 'targets' },
  flags: { address: text('Address to listen on', { shown: '127.0.0.1' }) },
  examples: [
    { what: 'Port 80 of a task on port 8080 here', command: 'tsswarm port-forward 8080:80 web.1' },
    { what: 'The same number on both sides', command: 'tsswarm port-forward 5432 db' },
  ],
  run: async (ctx, { flags, args: [ports = '', reference = ''] }) => {
    const { local, port } = parsePorts(ports)
    const client = await ctx.connect()
    const target = await targetOf(ctx, client, reference)
    const forwarder = new Forwarder(ctx, client, { ...target, port })
    return await forwarder.run(flags.address ?? '127.0.0.1', local)
  },
})

function parsePorts(given: string): { readonly local: number; readonly port: number } {
  const match = /^(?:(\d*):)?(\d+)$/.exec(given)
  const port = Number(match?.[2] ?? 0)
  const local = match?.[1] === undefined ? port : Number(match[1])
  if (match !== null && port >= 1 && port <= 65_535 && local <= 65_535) return { local, port }
  throw usage(`invalid ports ${JSON.stringify(given)}: write [LOCAL:]PORT, as in 8080:80`)
}

interface Target {
  readonly taskId: string
  readonly taskName: string
}

/** The one task that all connections go to. */
async function targetOf(ctx: CommandContext, client: Client, reference: string): Promise<Target> {
  const what = { $case: 'top', value: {} } as const
  const stream = await openStream(ctx, client, { reference, what }, ctx.signal)
  for await (const _ of stream.incoming);
  return stream.opened
}

class Forwarder {
  readonly #ctx: CommandContext
  readonly #client: Client
  readonly #target: Target & { readonly port: number }
  /** One for all connections: they are noted once. */
  readonly #requestId: string
  readonly #sockets = new Set<Socket>()

  constructor(ctx: CommandContext, client: Client, target: Target & { readonly port: number }) {
    this.#ctx = ctx
    this.#client = client
    this.#target = target
    this.#requestId = newId(ctx.random)
  }

  async run(address: string, local: number): Promise<number> {
    const { signal, stdout } = this.#ctx
    const server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket))
    const at = await listen(server, address, local)
    stdout.write(`Forwarding from ${at} -> ${this.#target.taskName}:${this.#target.port}\n`)
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve()
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
    return 0
  }

  #accept(socket: Socket): void {
    if (this.#sockets.size >= connectionsMax) {
      this.#ctx.stderr.write(`Error: more than ${connectionsMax} connections at a time\n`)
      socket.destroy()
      return
    }
    this.#sockets.add(socket)
    // Seen where it is read and written.
    socket.on('error', () => {})
    this.#forward(socket)
      .catch((err: unknown) => {
        if (this.#ctx.signal.aborted) return
        const why = err instanceof Error ? err.message : String(err)
        this.#ctx.stderr.write(`Error: ${why}\n`)
      })
      .finally(() => {
        this.#sockets.delete(socket)
        socket.destroy()
      })
      .catch(() => {})
  }

  async #forward(socket: Socket): Promise<void> {
    const { taskId: reference, port } = this.#target
    const life = new AbortController()
    let isAnswered = false
    let linger: Timer | undefined
    const leave = (): void => {
      if (isAnswered) linger ??= this.#ctx.clock.setTimer(lingerMs, () => life.abort())
      else life.abort()
    }
    socket.once('close', leave)
    const wish = {
      reference,
      requestId: this.#requestId,
      what: { $case: 'forward', value: { port } } as const,
    }
    const stream = await openStream(this.#ctx, this.#client, wish, life.signal)
    const up = async (): Promise<void> => {
      for await (const value of socket.iterator({ destroyOnReturn: false })) {
        await stream.outgoing.send({ $case: 'data', value })
      }
      await stream.outgoing.send({ $case: 'dataEnd', value: true })
    }
    up().catch(leave)
    try {
      for await (const kind of stream.incoming) {
        if (kind.$case === 'data') await written(socket, kind.value)
        if (kind.$case !== 'dataEnd') continue
        isAnswered = true
        socket.end()
      }
    } catch (err) {
      if (!life.signal.aborted) throw err
      return
    } finally {
      linger?.cancel()
    }
    const { err } = stream.ended()
    if (err !== '') throw new SwarmError('UNAVAILABLE', err)
    await new Promise<void>((resolve) => socket.end(resolve))
  }
}

/** Errors: ADDRESS_IN_USE, INVALID_ARGUMENT. */
function listen(server: Server, address: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const code = cause.code === 'EADDRINUSE' ? 'ADDRESS_IN_USE' : 'INVALID_ARGUMENT'
      const text = `cannot listen on ${address}, port ${port}: ${cause.message}`
      reject(new SwarmError(code, text, { cause }))
    })
    server.listen(port, address, () => {
      const at = server.address()
      const bound = at === null || typeof at === 'string' ? port : at.port
      resolve(address.includes(':') ? `[${address}]:${bound}` : `${address}:${bound}`)
    })
  })
}

function written(socket: Socket, chunk: Uint8Array): Promise<void> {
  if (!socket.writable || socket.write(chunk)) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done)
      socket.off('close', done)
      resolve()
    }
    socket.on('drain', done)
    socket.on('close', done)
  })
}
