// A client that asks a name server as fast as it answers, with a fixed number of questions open, and measures each answer. A process of
// its own, so that its work is not on the clock of whoever is measured: `load.js JSON`, prints one line of JSON.
import { createSocket, type Socket } from 'node:dgram'
import { aQuery } from '../../support/dns.ts'

export interface LoadOptions {
  readonly port: number
  /** Asked one after the other. */
  readonly names: readonly string[]
  /** Sockets, each with an address of its own on loopback: 127.0.0.2 … */
  readonly askers: number
  /** Questions open on each socket. */
  readonly open: number
  readonly warmUpMs: number
  readonly measureMs: number
}

export interface LoadFigures {
  readonly answersPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Questions that were not answered within a second. */
  readonly lost: number
  /** Answers without a record. */
  readonly empty: number
}

const lostMs = 1_000

class Asker {
  readonly #socket: Socket
  readonly #queries: readonly Buffer[]
  readonly #port: number
  readonly #sentMs = new Map<number, number>()
  #next = 0
  lost = 0
  empty = 0
  readonly latenciesMs: number[] = []

  constructor(options: LoadOptions, socket: Socket, queries: readonly Buffer[]) {
    this.#port = options.port
    this.#socket = socket
    this.#queries = queries
    socket.on('message', (message) => this.#take(message))
  }

  ask(): void {
    this.#next = (this.#next + 1) & 0xffff
    const query = this.#queries[this.#next % this.#queries.length]
    if (query === undefined) return
    const message = Buffer.from(query)
    message.writeUInt16BE(this.#next, 0)
    this.#sentMs.set(this.#next, performance.now())
    this.#socket.send(message, this.#port, '127.0.0.1')
  }

  /** Gives up on what was lost and asks anew instead. */
  sweep(): void {
    for (const [id, atMs] of this.#sentMs) {
      if (performance.now() - atMs < lostMs) return
      this.#sentMs.delete(id)
      this.lost += 1
      this.ask()
    }
  }

  #take(message: Buffer): void {
    const id = message.readUInt16BE(0)
    const atMs = this.#sentMs.get(id)
    if (atMs === undefined) return
    this.#sentMs.delete(id)
    this.latenciesMs.push(performance.now() - atMs)
    if (message.readUInt16BE(6) === 0) this.empty += 1
    this.ask()
  }
}

async function run(options: LoadOptions): Promise<LoadFigures> {
  const queries = options.names.map((name) => aQuery(name, { udpBytesMax: 1232 }))
  const askers: Asker[] = []
  for (let i = 0; i < options.askers; i++) {
    const socket = createSocket('udp4')
    await new Promise<void>((resolve) => socket.bind(0, `127.0.0.${2 + i}`, resolve))
    askers.push(new Asker(options, socket, queries))
  }
  const sweeping = setInterval(() => {
    for (const asker of askers) asker.sweep()
  }, 100)
  for (const asker of askers) for (let i = 0; i < options.open; i++) asker.ask()
  await new Promise((resolve) => setTimeout(resolve, options.warmUpMs))
  for (const asker of askers) asker.latenciesMs.length = 0
  process.stdout.write('measuring\n')
  const startMs = performance.now()
  await new Promise((resolve) => setTimeout(resolve, options.measureMs))
  const seconds = (performance.now() - startMs) / 1_000
  clearInterval(sweeping)
  const latencies = askers.flatMap(({ latenciesMs }) => latenciesMs).sort((a, b) => a - b)
  const at = (share: number): number =>
    Number((latencies[Math.floor(latencies.length * share)] ?? Number.NaN).toFixed(2))
  return {
    answersPerSecond: Math.round(latencies.length / seconds),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    lost: askers.reduce((sum, asker) => sum + asker.lost, 0),
    empty: askers.reduce((sum, asker) => sum + asker.empty, 0),
  }
}

const [, , text = '{}'] = process.argv
const found = await run(JSON.parse(text))
process.stdout.write(`${JSON.stringify(found)}\n`)
process.exit(0)
