// What a TCP network is made from. Data and interfaces only.
import type { PeerCertificate } from 'node:tls'
import type { NodeId, Note } from '../core/types.ts'

/** Where a member listens. */
export interface TcpAddress {
  readonly host: string
  readonly port: number
}

/** A certificate, its key, and the roots that peers' certificates must lead to; all PEM. */
export interface TlsIdentity {
  readonly cert: string
  readonly key: string
  readonly ca: string | readonly string[]
}

/** Mutual TLS 1.3: both ends show a certificate that leads to one of `ca`, and that `verifyPeer` accepts. */
export interface TlsSecurity extends TlsIdentity {
  /**
   * Whether this certificate, which leads to `ca`, is this member's; asked on both ends of every connection, and by who
   * listens again for each message, with the same object: whom it is not any more, or whose certificate has expired, is
   * cut off. As: `(id, certificate) => certificate.subject.CN === id`.
   */
  readonly verifyPeer: (id: NodeId, certificate: PeerCertificate) => boolean
}

/** What a TCP network is made from. */
export interface TcpNetworkOptions {
  /** Port 0: any free one, see TcpNetwork.port. */
  readonly listen: TcpAddress
  /** Where a peer listens now, asked at each dialling; undefined: not known, and nothing is sent. */
  readonly addressOf: (id: NodeId) => TcpAddress | undefined
  /** `plain`: anybody who reaches the port can speak as any member. Only where the network itself is guarded. */
  readonly security: TlsSecurity | 'plain'
  /** Peers of another cluster are refused. Default `raft`. */
  readonly cluster?: string
  /** Connections that were refused or failed, once a second and kind at most. */
  readonly onNote?: (note: Note) => void
}
