// A network in memory: loses, repeats, reorders and delays messages, and can be cut one way or both.
import type { NodeId } from '../core/types.ts'
import type { Lane, PeerMessage } from '../driver/environment.ts'
import type { SimRandom } from './random.ts'
import type { World } from './world.ts'

/** How the network behaves at present; may be changed at any time. */
export interface NetworkWeather {
  readonly delayMs: readonly [number, number]
  readonly losing: number
  readonly repeating: number
  /** Probability that a message is held back, so that later ones overtake it. */
  readonly reordering: number
  readonly reorderMs: number
}

/** A network on which nothing goes wrong by itself. */
export const calmNetwork: NetworkWeather = {
  delayMs: [0.2, 1],
  losing: 0,
  repeating: 0,
  reordering: 0,
  reorderMs: 0,
}

export type Receiver = (lane: Lane, message: PeerMessage) => void

/** Carries messages between processes of a simulation, as badly as its weather says. */
export class VirtualNetwork {
  readonly #world: World
  readonly #receivers = new Map<NodeId, Receiver>()
  /** Cut directions, as `from>to`. */
  readonly #cuts = new Set<string>()
  /** How often what was under way from and to a node was dropped. */
  readonly #drops = new Map<NodeId, number>()
  /** Chance by direction, so that a fault on one link changes nothing on the others. */
  readonly #streams = new Map<NodeId, Map<NodeId, SimRandom>>()
  weather: NetworkWeather = calmNetwork
  /** Sees every message when it is handed over. */
  onSend: (message: PeerMessage) => void = () => {}

  constructor(world: World) {
    this.#world = world
  }

  /** Messages for id go to this receiver from now on; undefined: nobody is there. */
  listen(id: NodeId, receiver: Receiver | undefined): void {
    if (receiver === undefined) this.#receivers.delete(id)
    else this.#receivers.set(id, receiver)
  }

  /** Loses what goes from one to the other, in this direction only. */
  cut(from: NodeId, to: NodeId): void {
    this.#cuts.add(`${from}>${to}`)
  }

  /** Ends every cut. */
  healAll(): void {
    this.#cuts.clear()
  }

  /** Nothing that is under way from or to this node arrives any more: its connections broke. */
  dropUnderWay(id: NodeId): void {
    this.#drops.set(id, (this.#drops.get(id) ?? 0) + 1)
  }

  /** As a transport: false when nobody can be reached. */
  send(lane: Lane, message: PeerMessage): boolean {
    this.onSend(message)
    const { from, to } = message
    const random = this.#stream(from, to)
    if (!this.#receivers.has(to)) return random.chance(0.5)
    if (this.#isCut(from, to) || random.chance(this.weather.losing)) return random.chance(0.9)
    this.#deliverLater(lane, message, random)
    if (random.chance(this.weather.repeating)) this.#deliverLater(lane, message, random)
    return true
  }

  #stream(from: NodeId, to: NodeId): SimRandom {
    let ofSender = this.#streams.get(from)
    if (ofSender === undefined) {
      ofSender = new Map()
      this.#streams.set(from, ofSender)
    }
    let stream = ofSender.get(to)
    if (stream === undefined) {
      stream = this.#world.stream(`link ${from}>${to}`)
      ofSender.set(to, stream)
    }
    return stream
  }

  /** Changes when the connection between the two breaks. */
  #connection({ from, to }: PeerMessage): number {
    if (this.#drops.size === 0) return 0
    return (this.#drops.get(from) ?? 0) + (this.#drops.get(to) ?? 0)
  }

  #isCut(from: NodeId, to: NodeId): boolean {
    return this.#cuts.size > 0 && this.#cuts.has(`${from}>${to}`)
  }

  #deliverLater(lane: Lane, message: PeerMessage, random: SimRandom): void {
    const { delayMs, reordering, reorderMs } = this.weather
    const heldMs = random.chance(reordering) ? random.between(0, reorderMs) : 0
    const connection = this.#connection(message)
    this.#world.after(random.between(delayMs[0], delayMs[1]) + heldMs, () => {
      if (this.#isCut(message.from, message.to)) return
      if (this.#connection(message) !== connection) return
      this.#receivers.get(message.to)?.(lane, message)
    })
  }
}
