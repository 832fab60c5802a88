// How long a message with one entry and its answer take between two processes over the peer transport: mutual TLS,
// the lane of appends, nothing else under way.
import { type PeerMessage, systemRandomBytes } from 'raft-ts'
import { createRootCa } from '../../../manager/ca/root-ca.ts'
import { PeerTransport } from '../../../manager/raft/peer-transport.ts'
import type { RaftPeer } from '../../../manager/raft/raft-handle.ts'
import { systemClock } from '../../../proto/lib/clock.ts'
import { freeAddress } from '../../support/free-ports.ts'
import { managerCredentials } from '../../support/raft-members.ts'
import { BenchChild } from './child.ts'
import type { EchoQuestion } from './echo-process.ts'

const answerMs = 10_000

export class RoundTrip {
  readonly #transport: PeerTransport
  readonly #echo: BenchChild
  readonly #data: Uint8Array
  #index = 0
  #answered: () => void

  private constructor(
    transport: PeerTransport,
    echo: BenchChild,
    data: Uint8Array,
    answered: () => void,
  ) {
    this.#transport = transport
    this.#echo = echo
    this.#data = data
    this.#answered = answered
  }

  /** Two ends that are connected. */
  static async open(entryBytes: number): Promise<RoundTrip> {
    const root = await createRootCa(Date.now())
    const self: RaftPeer = { id: 'a', nodeId: 'node-a', address: await freeAddress() }
    const other: RaftPeer = { id: 'b', nodeId: 'node-b', address: await freeAddress() }
    let found: RoundTrip | undefined
    const transport = await PeerTransport.listen({
      selfId: self.id,
      group: 'bench',
      listenAddress: self.address,
      credentials: await managerCredentials(root, self.nodeId),
      clock: systemClock,
      onMessage: (message: PeerMessage) => {
        if (message.kind === 'append-response' && found !== undefined) found.#answered()
      },
      onUnreachable: () => {},
    })
    transport.setPeers([self, other])
    const echo = new BenchChild('echo-process.js')
    const credentials = await managerCredentials(root, other.nodeId)
    const question: EchoQuestion = { self: other, other: self, credentials }
    await echo.ask(question)
    found = new RoundTrip(transport, echo, systemRandomBytes(entryBytes), () => {})
    await found.#exchange()
    return found
  }

  /** Milliseconds of each exchange, one after the other for so long. */
  async measure(ms: number): Promise<readonly number[]> {
    const latencies: number[] = []
    const endMs = performance.now() + ms
    while (performance.now() < endMs) {
      const sentMs = performance.now()
      await this.#exchange()
      latencies.push(performance.now() - sentMs)
    }
    return latencies
  }

  async end(): Promise<void> {
    this.#transport.close()
    await this.#echo.end()
  }

  #exchange(): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error('no answer over the transport')), answerMs)
      this.#answered = () => {
        clearTimeout(late)
        resolve()
      }
      const prevIndex = this.#index
      this.#index += 1
      const entry = { kind: 'data', term: 1, index: this.#index, data: this.#data } as const
      this.#transport.send('bulk', {
        kind: 'append',
        from: 'a',
        to: 'b',
        term: 1,
        prevIndex,
        prevTerm: 1,
        commit: prevIndex,
        entries: [entry],
      })
    })
  }
}
