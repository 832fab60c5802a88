// A network within one process: for tests, examples, and several members of one program. Each message goes
// through its wire format, so that no member sees another's objects.
import type { NodeId } from '../core/types.ts'
import type { PeerMessage } from '../driver/environment.ts'
import { decodePeerMessage, encodePeerMessage } from './peer-codec.ts'
import type { PeerLink, PeerNetwork, PeerReceiver } from './peer-network.ts'

/** Bytes that may be on their way to one member. */
const waitingBytesMax = 32 * 1024 * 1024

interface Station {
  readonly receiver: PeerReceiver
  waitingBytes: number
}

/** Joins members of one process. What is sent arrives soon and in order, unless it is cut. */
export class LocalNetwork implements PeerNetwork {
  readonly #stations = new Map<NodeId, Station>()
  /** Ids that are cut off. */
  readonly #cut = new Set<NodeId>()

  /** Rejects when the id has joined already. */
  join(id: NodeId, receiver: PeerReceiver): Promise<PeerLink> {
    if (this.#stations.has(id)) {
      return Promise.reject(
        new Error(`member ${id} is part of this network already; stop it first`),
      )
    }
    const station: Station = { receiver, waitingBytes: 0 }
    this.#stations.set(id, station)
    return Promise.resolve({
      send: (_lane, message) => this.#stations.get(id) === station && this.#send(id, message),
      close: () => {
        if (this.#stations.get(id) === station) this.#stations.delete(id)
        return Promise.resolve()
      },
    })
  }

  /** Cuts a member off from all others, both ways, until `heal`. */
  cut(id: NodeId): void {
    this.#cut.add(id)
  }

  /** Joins a member that was cut off again. */
  heal(id: NodeId): void {
    this.#cut.delete(id)
  }

  #send(from: NodeId, message: PeerMessage): boolean {
    const to = this.#stations.get(message.to)
    if (to === undefined || this.#isCut(from, message.to)) return false
    let bytes: Uint8Array
    try {
      bytes = encodePeerMessage(message)
    } catch {
      return false // a message that no wire carries
    }
    if (to.waitingBytes + bytes.length > waitingBytesMax) return false
    to.waitingBytes += bytes.length
    setImmediate(() => {
      to.waitingBytes -= bytes.length
      // It may have stopped, or be cut off, meanwhile.
      if (this.#stations.get(message.to) !== to || this.#isCut(from, message.to)) return
      to.receiver.receive(decodePeerMessage(bytes))
    })
    return true
  }

  #isCut(from: NodeId, to: NodeId): boolean {
    return this.#cut.has(from) || this.#cut.has(to)
  }
}
