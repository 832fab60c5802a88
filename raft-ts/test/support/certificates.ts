// Certificates for tests: a root of its own, and what it signs.
import 'reflect-metadata' // what @peculiar/x509 needs before it is loaded
import { webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import type { TlsIdentity } from 'raft-ts/node'

x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0])

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const hourMs = 3_600_000

/** Signs identities: `issue(id)` for a certificate whose common name is the id. */
export interface TestRoot {
  readonly certPem: string
  issue(id: string): Promise<TlsIdentity>
}

/** A new root. */
export async function aRoot(name = 'test root'): Promise<TestRoot> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: `CN=${name}`,
    notBefore: new Date(Date.now() - hourMs),
    notAfter: new Date(Date.now() + hourMs),
    signingAlgorithm: algorithm,
    keys: keys as never,
    extensions: [
      new x509.BasicConstraintsExtension(true, 1, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
    ],
  })
  const certPem = root.toString('pem')
  return {
    certPem,
    issue: async (id) => {
      const own = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
      const cert = await x509.X509CertificateGenerator.create({
        serialNumber: '02',
        subject: `CN=${id}`,
        issuer: root.subject,
        notBefore: new Date(Date.now() - hourMs),
        notAfter: new Date(Date.now() + hourMs),
        signingAlgorithm: algorithm,
        publicKey: own.publicKey as never,
        signingKey: keys.privateKey as never,
        extensions: [new x509.BasicConstraintsExtension(false, undefined, true)],
      })
      const key = await webcrypto.subtle.exportKey('pkcs8', own.privateKey)
      const lines =
        Buffer.from(key)
          .toString('base64')
          .match(/.{1,64}/g) ?? []
      const keyPem = `-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----\n`
      return { cert: cert.toString('pem'), key: keyPem, ca: certPem }
    },
  }
}
