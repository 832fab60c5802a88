// How a host becomes a node: fetch the root certificate, compare it with the token's digest, then ask for a certificate.
import { connect } from 'node:tls'
import { Client, credentials } from '@grpc/grpc-js'
import { parseJoinToken, rootCertDigest } from '../../proto/codec/join-token.ts'
import { SwarmError } from '../../proto/errors.ts'
import { type IssueCertificateResponse, NodeCaService } from '../../proto/gen/tsswarm/v1/ca.ts'
import type { NodeAvailability } from '../../proto/gen/tsswarm/v1/objects.ts'
import type { TlsIdentity } from '../../proto/objects/index.ts'
import { unary } from '../../proto/rpc/call.ts'
import { channelCredentials, channelOptions, managerName } from '../../proto/rpc/channel.ts'
import { createNodeKey } from './node-key.ts'

const callMs = 10_000

export interface JoinOptions {
  /** host:port of managers, tried in order. */
  readonly addresses: readonly string[]
  readonly token: string
  readonly availability: NodeAvailability
  readonly requestId: string
  readonly signal: AbortSignal
}

export interface Joined {
  readonly identity: TlsIdentity
  readonly answer: IssueCertificateResponse
}

/**
 * Obtains a certificate for this host. The token leaves the host only after the root was found to be the pinned one.
 * Errors: INVALID_ARGUMENT (token), PERMISSION_DENIED (token refused, foreign cluster), UNAVAILABLE (no manager reached).
 */
export async function joinCluster(options: JoinOptions): Promise<Joined> {
  const { rootDigest } = parseJoinToken(options.token)
  let last: unknown
  for (const address of options.addresses) {
    try {
      const caPem = await fetchRoot(address)
      checkRoot(address, caPem, rootDigest)
      return await askForCertificate(address, caPem, options).catch((err) => {
        throw refusedAfterHello(address, err)
      })
    } catch (err) {
      if (err instanceof SwarmError && err.code !== 'UNAVAILABLE') throw err
      last = err
    }
  }
  throw new SwarmError(
    'UNAVAILABLE',
    `no manager could be reached at ${options.addresses.join(', ')}: ` +
      `${last instanceof Error ? last.message : String(last)}${remedyOf(last)}`,
    { cause: last },
  )
}

/** A port of a manager that is not its control API, that of Raft for one, ends the connection for want of a certificate. */
class OtherPort extends SwarmError {}

/** The address showed a root certificate a moment ago; TLS trouble now means that it is no control API. */
function refusedAfterHello(address: string, err: unknown): unknown {
  // gRPC has no code for this: OpenSSL's words are all there is.
  const isTls = err instanceof SwarmError && /SSL|TLS|HTTP\/?2|protocol/i.test(err.message)
  if (!isTls || err.code !== 'UNAVAILABLE') return err
  return new OtherPort(
    'UNAVAILABLE',
    `${address} answers, but not as the control API of a manager: give that port, which is 2377 unless set otherwise`,
    { cause: err },
  )
}

function remedyOf(err: unknown): string {
  return err instanceof OtherPort ? '' : '; check the address, and that this TCP port is open there'
}

/** Renews the certificate of a node with its present one, under a new key. */
export async function renewIdentity(
  address: string,
  present: TlsIdentity,
  requestId: string,
  signal: AbortSignal,
): Promise<TlsIdentity> {
  const key = await createNodeKey()
  const client = new Client(address, channelCredentials(present), channelOptions(managerName))
  try {
    const answer = await unary(
      client,
      NodeCaService.issueCertificate,
      { requestId, csrPem: key.csrPem, token: '', availability: 0 },
      { deadlineMs: callMs, signal },
    )
    return { certPem: answer.certPem, keyPem: key.keyPem, caPem: answer.rootCaCertPem }
  } finally {
    client.close()
  }
}

function checkRoot(address: string, caPem: string, rootDigest: string): void {
  if (rootCertDigest(caPem) === rootDigest) return
  throw new SwarmError(
    'PERMISSION_DENIED',
    `remote CA does not match fingerprint: the manager at ${address} belongs to another cluster than the token; ` +
      'nothing was sent. Use a token printed by that cluster',
  )
}

async function askForCertificate(
  address: string,
  caPem: string,
  options: JoinOptions,
): Promise<Joined> {
  const key = await createNodeKey()
  const client = new Client(
    address,
    credentials.createSsl(Buffer.from(caPem)),
    channelOptions(managerName),
  )
  try {
    const answer = await unary(
      client,
      NodeCaService.issueCertificate,
      {
        requestId: options.requestId,
        csrPem: key.csrPem,
        token: options.token,
        availability: options.availability,
      },
      { deadlineMs: callMs, signal: options.signal },
    )
    const identity = { certPem: answer.certPem, keyPem: key.keyPem, caPem: answer.rootCaCertPem }
    return { identity, answer }
  } finally {
    client.close()
  }
}

/** The root certificate that the manager's TLS handshake shows, not yet trusted. */
function fetchRoot(address: string): Promise<string> {
  const { host, port } = splitAddress(address)
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, rejectUnauthorized: false, ALPNProtocols: ['h2'] })
    const fail = (err: Error): void => {
      socket.destroy()
      reject(
        new SwarmError('UNAVAILABLE', `no TLS connection to ${address}: ${tlsProblem(err)}`, {
          cause: err,
        }),
      )
    }
    socket.setTimeout(callMs, () => fail(new Error('timed out')))
    socket.once('error', fail)
    socket.once('secureConnect', () => {
      let cert = socket.getPeerCertificate(true)
      while (cert.issuerCertificate && cert.issuerCertificate !== cert)
        cert = cert.issuerCertificate
      const pem = derToPem(cert.raw)
      socket.destroy()
      resolve(pem)
    })
  })
}

function derToPem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

function splitAddress(address: string): { host: string; port: number } {
  const match = /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(address)
  const [, host, port] = match ?? []
  if (host === undefined || port === undefined) {
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `invalid manager address ${JSON.stringify(address)}: it must be HOST:PORT, for example 10.0.0.1:2377`,
    )
  }
  return { host, port: Number(port) }
}

/** OpenSSL's own words for a peer that speaks no TLS help nobody. */
function tlsProblem(err: Error): string {
  const code = 'code' in err ? err.code : undefined
  return code === 'ERR_SSL_WRONG_VERSION_NUMBER'
    ? 'what listens there is no manager, it does not speak TLS'
    : err.message.trim()
}
