// Asks addresses that it is told, at a steady rate, from whatever network namespace it was started in, and prints who answered.
//
//   node prober.js PER_SECOND
//
// Standard input: lines with a JSON list of [network, address, 'task' | 'service', id], each in place of the one before.
// Standard output: `AT TASK PAYLOAD` for each answer (see answerer.c), and `sent COUNT` every second. Ends with its input.
import { createSocket, type Socket } from 'node:dgram'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'

type Target = readonly [network: string, address: string, kind: string, id: string]

const port = 7
const stepMs = 20
const answerMs = 1_000
/** A new source port every so many datagrams: what is known of a flow must not hide what is new. */
const datagramsPerSocket = 25

class Prober {
  #targets: readonly Target[] = []
  #lines: string[] = []
  #sent = 0
  #next = Math.floor(Math.random() * 1_000)
  #steady = this.#socket()
  #fresh = this.#socket()

  run(perSecond: number): void {
    const startMs = performance.now()
    let asked = 0
    const timer = setInterval(() => {
      const due = ((performance.now() - startMs) * perSecond) / 1000
      for (; asked < due; asked++) this.#ask(asked)
      this.#print()
    }, stepMs)
    const counting = setInterval(() => this.#lines.push(`sent ${this.#sent}`), 1_000)
    // Nobody reads it any more.
    process.stdout.once('error', () => process.exit(1))
    createInterface(process.stdin)
      .on('line', (line) => {
        this.#targets = JSON.parse(line) as readonly Target[]
      })
      .on('close', () => {
        clearInterval(timer)
        clearInterval(counting)
        this.#lines.push(`sent ${this.#sent}`)
        process.stdout.write(`${this.#lines.join('\n')}\n`, () => process.exit(0))
      })
  }

  #ask(turn: number): void {
    const target = this.#targets[this.#next++ % Math.max(1, this.#targets.length)]
    if (target === undefined) return
    this.#sent += 1
    const [network, address, kind, id] = target
    const payload = `${Date.now()} ${network} ${address} ${kind} ${id}\n`
    if (turn % 3 === 0) this.#askTcp(address, payload)
    else this.#askUdp(turn, address, payload)
  }

  #askUdp(turn: number, address: string, payload: string): void {
    if (turn % datagramsPerSocket === 0) {
      const old = this.#fresh
      setTimeout(() => old.close(), answerMs)
      this.#fresh = this.#socket()
    }
    const socket = turn % 3 === 1 ? this.#steady : this.#fresh
    socket.send(payload, port, address)
  }

  #askTcp(address: string, payload: string): void {
    const socket = connect({ host: address, port, timeout: answerMs })
    let text = ''
    socket.once('connect', () => socket.write(payload))
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString()
    })
    socket.once('timeout', () => socket.destroy())
    // Nobody there, or one that goes: no answer is no wrong one.
    socket.once('error', () => {})
    socket.once('close', () => this.#note(text))
  }

  #socket(): Socket {
    const socket = createSocket('udp4')
    socket.on('message', (bytes) => this.#note(bytes.toString()))
    socket.on('error', () => {})
    return socket
  }

  #note(answer: string): void {
    const line = answer.trim()
    if (line !== '') this.#lines.push(`${Date.now()} ${line}`)
  }

  #print(): void {
    if (this.#lines.length === 0) return
    process.stdout.write(`${this.#lines.join('\n')}\n`)
    this.#lines = []
  }
}

new Prober().run(Number(process.argv[2]))
