// A node's own key and its certificate signing request. The key is made here and never leaves the host.
import 'reflect-metadata' // what @peculiar/x509 needs before it is loaded
import { webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'

x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0])

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

export interface NodeKey {
  /** PKCS 8. Secret. */
  readonly keyPem: string
  readonly csrPem: string
}

/** A new P-256 key and a request for its certificate. */
export async function createNodeKey(): Promise<NodeKey> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({
    name: 'CN=node',
    keys: keys as never,
    signingAlgorithm: algorithm,
  })
  const bytes = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return {
    keyPem: `-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----\n`,
    csrPem: `${csr.toString('pem')}\n`,
  }
}
