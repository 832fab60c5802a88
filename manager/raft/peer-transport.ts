// Peer messages between managers: raft-ts's network over TCP with mutual TLS, in the Raft thread. Only of valid manager
// certificates, and of each only what the member with that node id says. Loses messages when a peer is away; Raft repeats them.
import type { PeerCertificate } from 'node:tls'
import type { Note, PeerMessage, Transport } from 'raft-ts'
import { type PeerLink, type TcpAddress, TcpNetwork, type TlsIdentity } from 'raft-ts/node'
import { splitAddress } from '../../proto/bus/host-port.ts'
import { SwarmError } from '../../proto/errors.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import { type PeerFacts, peerFacts } from '../rpc/authorize.ts'
import type { RaftCredentials, RaftId, RaftPeer } from './raft-handle.ts'

export interface PeerTransportOptions {
  readonly selfId: RaftId
  /** Names the cluster: members of another one are refused. */
  readonly group: string
  /** host:port */
  readonly listenAddress: string
  readonly credentials: RaftCredentials
  readonly clock: Clock
  readonly onMessage: (message: PeerMessage) => void
  /** A lane to the peer broke. */
  readonly onUnreachable: (id: RaftId) => void
  /** The peer's process has ended. Not told of one whose host is silent. */
  readonly onGone?: (id: RaftId) => void
  /** Connections that were refused or failed, once a second and kind at most. */
  readonly onNote?: (note: Note) => void
}

export class PeerTransport implements Transport {
  readonly #network: TcpNetwork
  readonly #clock: Clock
  /** Read once a certificate: it costs more than a message. */
  readonly #facts = new WeakMap<PeerCertificate, PeerFacts>()
  #peers: ReadonlyMap<RaftId, RaftPeer> = new Map()
  #link: PeerLink | undefined

  private constructor(
    { credentials, clock, group, onNote }: PeerTransportOptions,
    listen: TcpAddress,
  ) {
    this.#clock = clock
    this.#network = new TcpNetwork({
      listen,
      cluster: group,
      addressOf: (id) => {
        const peer = this.#peers.get(id)
        return peer && splitAddress(peer.address)
      },
      security: {
        ...identityOf(credentials),
        verifyPeer: (id, certificate) => this.#isPeer(id, certificate),
      },
      ...(onNote && { onNote }),
    })
  }

  /** Listens; peers are dialled when there is something to send. Errors: ADDRESS_IN_USE, INVALID_ARGUMENT. */
  static async listen(options: PeerTransportOptions): Promise<PeerTransport> {
    const listen = splitAddress(options.listenAddress)
    if (listen === undefined) {
      throw listenError(options.listenAddress, new Error('it is not HOST:PORT'))
    }
    const transport = new PeerTransport(options, listen)
    const { selfId, listenAddress, onMessage, onUnreachable, onGone = () => {} } = options
    const receiver = { receive: onMessage, unreachable: onUnreachable, gone: onGone }
    try {
      transport.#link = await transport.#network.join(selfId, receiver)
    } catch (err) {
      throw listenError(listenAddress, err as Error)
    }
    return transport
  }

  /** Members that are dialled and accepted, whole each time. */
  setPeers(peers: readonly RaftPeer[]): void {
    const before = this.#peers
    this.#peers = new Map(peers.map((peer) => [peer.id, peer]))
    for (const [id, { address, nodeId }] of before) {
      const now = this.#peers.get(id)
      if (now?.address !== address || now.nodeId !== nodeId) this.#network.redial(id)
    }
  }

  /** New connections use these; those that were accepted go on until their certificate expires. */
  setCredentials(credentials: RaftCredentials): void {
    this.#network.renew(identityOf(credentials))
  }

  send(lane: Parameters<Transport['send']>[0], message: PeerMessage): boolean {
    return this.#peers.has(message.to) && (this.#link?.send(lane, message) ?? false)
  }

  close(): void {
    void this.#link?.close()
  }

  #isPeer(id: RaftId, certificate: PeerCertificate): boolean {
    const facts = this.#facts.get(certificate) ?? peerFacts(certificate)
    if (facts === undefined) return false
    this.#facts.set(certificate, facts)
    const { nodeId, role, notBeforeMs, notAfterMs } = facts
    const nowMs = this.#clock.wallMs()
    if (role !== 'manager' || nowMs < notBeforeMs || nowMs >= notAfterMs) return false
    return this.#peers.get(id)?.nodeId === nodeId
  }
}

function identityOf({ caPem, certPem, keyPem }: RaftCredentials): TlsIdentity {
  return { ca: caPem, cert: certPem, key: keyPem }
}

function listenError(listenAddress: string, err: Error): SwarmError {
  const cause = err.cause as NodeJS.ErrnoException | undefined
  const code = cause?.code === 'EADDRINUSE' ? 'ADDRESS_IN_USE' : 'INVALID_ARGUMENT'
  const why = cause?.message ?? err.message
  const text =
    `the Raft transport cannot listen on ${listenAddress}: ${why}; ` +
    'stop the program that holds it, or choose another address'
  return new SwarmError(code, text, { cause: err })
}
