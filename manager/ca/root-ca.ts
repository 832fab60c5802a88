// The cluster's root certificate authority: P-256, 20 years, and the certificates it signs.
// Not for tokens or requests; those are ca-handlers.ts.
import 'reflect-metadata' // what @peculiar/x509 needs before it is loaded
import { webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import { SwarmError } from '../../proto/errors.ts'
import { certificateBackdateMs, type NodeRole } from '../../proto/objects/index.ts'
import { managerName } from '../../proto/rpc/channel.ts'

x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0])

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const yearMs = 365.25 * 24 * 3_600_000
const rootLifeMs = 20 * yearMs

/** PEM texts of a root: its certificate and its secret key (PKCS 8). */
export interface RootCa {
  readonly certPem: string
  readonly keyPem: string
}

/** What a node certificate says. */
export interface CertificateSubject {
  /** CN */
  readonly nodeId: string
  /** OU: swarm-manager or swarm-worker */
  readonly role: NodeRole
  /** O */
  readonly clusterId: string
}

export interface IssueOptions {
  readonly subject: CertificateSubject
  readonly csrPem: string
  readonly nowMs: number
  readonly lifeMs: number
}

/** A new self-signed root. */
export async function createRootCa(nowMs: number): Promise<RootCa> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: 'CN=swarm-ca',
    notBefore: new Date(nowMs - certificateBackdateMs),
    notAfter: new Date(nowMs + rootLifeMs),
    signingAlgorithm: algorithm,
    keys: keys as never,
    extensions: [
      new x509.BasicConstraintsExtension(true, 1, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey as never),
    ],
  })
  const key = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  return { certPem: `${cert.toString('pem')}\n`, keyPem: pem('PRIVATE KEY', new Uint8Array(key)) }
}

/**
 * Signs a certificate for the key of the request; nothing else of the request is taken over.
 * Errors: INVALID_ARGUMENT when the request is not a valid one of a P-256 key.
 */
export async function issueCertificate(root: RootCa, options: IssueOptions): Promise<string> {
  const request = await checkedRequest(options.csrPem)
  const issuer = new x509.X509Certificate(root.certPem)
  const { nodeId, role, clusterId } = options.subject
  const names = [nodeId, organizationalUnit(role), 'swarm-ca']
  const cert = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: `CN=${nodeId}, OU=${organizationalUnit(role)}, O=${clusterId}`,
    issuer: issuer.subject,
    notBefore: new Date(options.nowMs - certificateBackdateMs),
    notAfter: new Date(options.nowMs + options.lifeMs),
    signingAlgorithm: algorithm,
    publicKey: request.publicKey,
    signingKey: (await importKey(root.keyPem)) as never,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([
        x509.ExtendedKeyUsage.clientAuth,
        x509.ExtendedKeyUsage.serverAuth,
      ]),
      new x509.SubjectAlternativeNameExtension(
        names.map((name) => ({ type: 'dns' as const, value: name })),
      ),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
    ],
  })
  return `${cert.toString('pem')}\n`
}

/** The OU of a role. */
export function organizationalUnit(role: NodeRole): string {
  return role === 'manager' ? managerName : 'swarm-worker'
}

/** Errors: INVALID_ARGUMENT when it is not PEM, not of a P-256 key, or not signed by it. */
export async function checkedRequest(csrPem: string): Promise<x509.Pkcs10CertificateRequest> {
  const invalid = (cause?: unknown): SwarmError =>
    new SwarmError(
      'INVALID_ARGUMENT',
      'the certificate signing request is not valid: it must be PEM, signed by its own P-256 key',
      { cause },
    )
  try {
    const request = new x509.Pkcs10CertificateRequest(csrPem)
    const key = request.publicKey.algorithm as { name: string; namedCurve?: string }
    if (key.namedCurve === 'P-256' && (await request.verify())) return request
  } catch (err) {
    throw invalid(err)
  }
  throw invalid()
}

async function importKey(keyPem: string): Promise<webcrypto.CryptoKey> {
  const body = keyPem.replaceAll(/-----[A-Z ]+-----|\s/g, '')
  return await webcrypto.subtle.importKey('pkcs8', Buffer.from(body, 'base64'), algorithm, false, [
    'sign',
  ])
}

function serialNumber(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16))
  bytes[0] = (bytes[0] ?? 0) & 0x7f
  return Buffer.from(bytes).toString('hex')
}

function pem(label: string, bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
